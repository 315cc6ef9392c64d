// Policies as a caller may change them.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

// The policy of that name, locked until the transaction's end against every other change. Raises undefined_object when
// there is none, and insufficient_privilege when the current user may not manage it.
Policy lock_managed_policy(pg::Spi& spi, const pg::Extension& extension, const std::string& name);

// Raises insufficient_privilege unless the current user may manage the policy.
void check_may_manage(const Policy& policy);

} // namespace pgcleanup
