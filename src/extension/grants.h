// The rows of cleanup_grants, and whether they are in force.
#pragma once

#include "extension/levels.h"

namespace pgcleanup {

struct Grant {
    std::int64_t id = 0;
    std::string role; // as the row has it
    std::string level;
    std::optional<std::string> policy;     // nothing: every policy
    Oid bound_role = InvalidOid;           // whom it was given to; InvalidOid: nobody
    std::optional<std::string> now_called; // nothing: that role is gone

    // Only what was given to a role that is still there counts.
    bool is_in_force() const { return now_called.has_value(); }
    LevelSet levels() const { return level_of(level, policy.has_value()).value_or(0); }
};

// "viewer of policy "x"", "viewer of every policy".
std::string grant_text(const Grant& grant);

// As the extension's owner; by id.
std::vector<Grant> all_grants(pg::Spi& spi, const pg::Extension& extension);

// Roles may be renamed any time, unseen by a database; this writes their present names down. Cheap when nothing
// changed.
void refresh_grant_names(pg::Spi& spi, const pg::Extension& extension);

} // namespace pgcleanup
