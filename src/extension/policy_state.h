// Whether a stored policy still means what it meant when it was validated.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

enum class PolicyCondition { ready, disabled, unbound, broken };

struct PolicyState {
    PolicyCondition condition = PolicyCondition::ready;
    std::string reason; // empty when ready
    std::string remedy; // of broken and unbound: what to do about it, with a statement to paste
};

// The word for cleanup_stats.state: ready, disabled, unbound, broken.
const char* state_name(PolicyCondition condition);

// Looks at the catalogs only: resolves the target, checks kind and access method again, parses the expressions under
// the pinned settings and compares the fingerprint with the stored one. A policy without a stored fingerprint (restored
// from a dump) is ready when everything resolves. Never raises for what a policy says; takes AccessShareLock on the
// target. `ignore_enabled`: a disabled policy is judged as if it were enabled.
PolicyState policy_state(const Policy& policy, bool ignore_enabled = false);

// Text that changes when anything that the policy refers to does: the relations, columns (number, name, type),
// functions, operators, types and collations of its target, age column and expressions. Raises what the parser raises.
std::string fingerprint(const Policy& policy);

// Stores the binding of a policy that has none (restored from a dump) and audits it. Read-write transaction only.
void store_binding(pg::Spi& spi, const pg::Extension& extension, const Policy& policy);

} // namespace pgcleanup
