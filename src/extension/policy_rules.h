// What a policy must be to be stored.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

// The rules that a policy can be judged by alone: its name, choices, numbers, period and time zone. Raises, with a hint.
// Language settings must be pinned.
void check_declaration(const Policy& policy);

// Where expression text comes from.
enum class TextOrigin {
    written,   // by the caller: read under the current search_path
    canonical, // unchanged: read as it was stored
    unknown,   // a dump, an export, an INSERT: canonical if it can be read as that, else as written
};
struct TextOrigins {
    TextOrigin condition = TextOrigin::written;
    TextOrigin guard = TextOrigin::written;
    bool look_at_rows = true; // at the newest age, to check its unit
};

// Everything else: locks the target, checks that the current user may make a policy on it, that it is a fit target, its age
// column and expressions, and replaces these by their canonical text. Returns the fingerprint.
std::string check_and_bind(Policy& policy, const TextOrigins& origins);

} // namespace pgcleanup
