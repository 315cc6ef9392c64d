// The restore of one policy's rows of one run, in a worker that is the target's owner.
#pragma once

#include "extension/owner_session.h"
#include "extension/policy.h"
#include "extension/restore_rows.h"
#include "extension/task_channel.h"

namespace pgcleanup {

// The scope of a request.
RestoreScope restore_scope(const TaskRequest& request, std::int64_t policy_id);

// Does the whole work and writes it down; replies with a row for each table, and one for each row that stays archived.
// Whatever ends it early ends in a status of the record; throws PgError only when not even that could be written.
void restore_policy(const OwnerSession& session, const TaskChannel& channel, const Policy& policy, TaskReply& reply);

} // namespace pgcleanup
