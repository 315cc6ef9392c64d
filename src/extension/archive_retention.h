// Removing archived rows that are older than archive_retain, as part of a run of their policy.
#pragma once

#include "extension/owner_session.h"
#include "extension/policy.h"
#include "extension/task_channel.h"

namespace pgcleanup {

// From every archive of the policy, in batches that each commit; each archive has a record of its own. Does nothing
// without archive_retain. Whatever ends it early ends in a status of that record; throws PgError only when not even
// that could be written.
void remove_expired_archived_rows(const OwnerSession& session, const TaskChannel& channel, const Policy& policy);

} // namespace pgcleanup
