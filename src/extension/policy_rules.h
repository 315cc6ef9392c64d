// What a policy must be to be stored.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

// Of two versions of a policy: whether they mean the same rows and the same fate of them, and differ at most in name,
// in when and how it runs, or in what is said about it.
bool same_definition(const Policy& left, const Policy& right);

// The rules that a policy can be judged by alone. Raise, with a hint.
// Its name and numbers: what may change in a policy that cannot run.
void check_options(const Policy& policy);
// Its choices, and whether it says what is due.
void check_declaration(const Policy& policy);
// Both.
void check_whole_declaration(const Policy& policy);

// Where expression text comes from.
enum class TextOrigin {
    written,   // by the caller: read under the current search_path
    canonical, // unchanged: read as it was stored
    unknown,   // a dump, an export, an INSERT: canonical if it can be read as that, else as written
};
struct TextOrigins {
    TextOrigin condition = TextOrigin::written;
    TextOrigin guard = TextOrigin::written;
    TextOrigin set_values = TextOrigin::written;
    bool look_at_rows = true; // at the newest age, to check its unit
};

// Everything else: locks the target, checks that it is a fit target, its age column and expressions, and replaces these
// by their canonical text. Returns the fingerprint. Whether the current user may say what the policy says is for the
// caller to check: check_target_ownership() and check_may_say().
std::string check_and_bind(Policy& policy, const TextOrigins& origins);

} // namespace pgcleanup
