// What is asked once before a run: what the expressions mean, the policy's guard, and its breaker. As the owner, inside
// an OwnerTransaction.
#pragma once

#include "extension/eligibility.h"

namespace pgcleanup {

// Raises object_not_in_prerequisite_state when condition or set_values mean something else over `relation` (the target,
// or a partition) under the search_path of the session than when they were declared.
void verify_meaning(const Policy& policy, Oid relation);

struct GuardResult {
    bool is_true = false;
    std::string reason; // why not: false, NULL, or the error that it raised
};

// A guard that raises is not true; its error is swallowed inside a subtransaction. Cancels are raised.
GuardResult evaluate_guard(const std::string& guard);

// Why the breaker (refuse_above_rows, refuse_above_fraction) refuses the run; nothing when it does not.
std::optional<std::string> breaker_refusal(const Policy& policy, const Eligibility& eligibility,
                                           std::span<const Oid> leaves);

} // namespace pgcleanup
