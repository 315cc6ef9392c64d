// What a run of one policy would do, without doing it.
#pragma once

#include "extension/owner_session.h"
#include "extension/policy.h"

namespace pgcleanup {

// Reading waits for nobody but a change of the table's definition; not for ever, as that may wait for whoever asked.
inline constexpr std::chrono::milliseconds reading_lock_wait{10'000};

// Sends one row of cleanup_dry_run_result. Its numbers come from one snapshot: eligible_rows meet age and condition,
// blocked_rows are those of them that a reference keeps, and row_bytes is for the others, which a run now would delete.
// Reads only, in recovery too, in a transaction of its own. Raises object_not_in_prerequisite_state for a policy that
// is broken or unbound, and whatever the policy's expressions raise.
void dry_run_policy(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply);

// For the above and the preview: raises unless the policy still means what it meant. Takes a lock on the target.
void require_ready(const Policy& policy);
// Raises unless the target, which must be locked, is still the session's: code of its new owner must not run in it.
void require_owner(const OwnerSession& session, const Policy& policy);

} // namespace pgcleanup
