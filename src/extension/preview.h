// Some of the rows that a policy would delete, and why.
#pragma once

#include "extension/owner_session.h"
#include "extension/policy.h"

namespace pgcleanup {

// Sends at most request.preview_rows rows of cleanup_preview_result: eligible rows, the blocked ones too. Oldest first
// where an index yields them so, otherwise any, in no order. Reads only, in a transaction of its own; raises as
// dry_run_policy.
void preview_policy(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply);

} // namespace pgcleanup
