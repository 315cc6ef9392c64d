// What a run of one policy would do to each dependent table, link by link.
#pragma once

#include "extension/owner_session.h"
#include "extension/policy.h"

namespace pgcleanup {

// Sends the rows of cleanup_dry_run_detail_result, nearest tables first; none for a policy that only changes rows of
// its target. Reads only, in recovery too, in a transaction of its own. Raises object_not_in_prerequisite_state for a
// policy that is broken or unbound, and whatever the policy's expressions raise.
void dry_run_detail(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply);

} // namespace pgcleanup
