// How old the oldest row of a policy is, without scanning for it.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

struct OldestRow {
    std::optional<std::string> age; // timestamptz text, ISO; nothing: there is no such row
};

// The oldest row of the policy's target that meets its condition, read from indexes on the age column as the target's
// owner might; nothing when it cannot be told: a leaf has no such index or it needs vacuuming, the condition runs code
// that is not PostgreSQL's own (what somebody asks for every few seconds must not run anybody's queries), none of the
// hundred oldest rows meets it, or row security hides rows. Takes locks: call it inside look_and_let_go with a
// lock_timeout.
std::optional<OldestRow> oldest_row(pg::Spi& spi, const Policy& policy);

} // namespace pgcleanup
