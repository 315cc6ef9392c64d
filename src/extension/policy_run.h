// The run of one policy, in a worker that is the target's owner: check, plan, batches, report.
#pragma once

#include "extension/owner_session.h"
#include "extension/policy.h"
#include "extension/task_channel.h"

namespace pgcleanup {

// Does the whole work and writes it down. Whatever ends it early (a bound, a cancel, an error of the policy) ends in a
// status of the record; throws PgError only when not even that could be written.
void run_policy(const OwnerSession& session, const TaskChannel& channel, const Policy& policy);

} // namespace pgcleanup
