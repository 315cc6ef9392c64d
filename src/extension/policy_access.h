// Policies as a caller may change them.
#pragma once

#include "extension/rights.h"

namespace pgcleanup {

// The policy of that name, locked until the transaction's end against every other change. Raises undefined_object when
// there is none that the current user may see, and insufficient_privilege when he may not do more than that.
Policy lock_policy_for(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Right right);

// Raises insufficient_privilege unless the current user has the right to the policy.
void require_right(Right right, const Policy& policy);

// Raises insufficient_privilege when `after` says something else of `before` than who does not own its target may say:
// name, options, and how long rows are kept. The rest becomes code that runs as the owner.
void check_may_say(const Policy& before, const Policy& after);

} // namespace pgcleanup
