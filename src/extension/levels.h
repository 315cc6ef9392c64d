// The levels of cleanup_grant, and the privileges that each needs on the extension's own objects. Nothing is granted to
// PUBLIC, so a level is a row of cleanup_grants, which says whose policies, and real GRANTs, which open the functions.
#pragma once

#include "pg/identity.h"
#include "pg/spi.h"

namespace pgcleanup {

// Bits: levels, and whether for one policy or for every one.
using LevelSet = std::uint32_t;

// The level of that name; nothing when there is none of that name.
std::optional<LevelSet> level_of(std::string_view name, bool for_one_policy);
bool may_be_for_one_policy(std::string_view level);
// "viewer, operator, ..."
std::string level_names();

// Both as the extension's owner, on what the installed version has of it. `role` is a role's name.
void grant_privileges(pg::Spi& spi, const pg::Extension& extension, const std::string& role, LevelSet levels);
// Takes what `levels` needs and `kept` does not.
void revoke_privileges(pg::Spi& spi, const pg::Extension& extension, const std::string& role, LevelSet levels,
                       LevelSet kept);

// Privileges that the levels need and the role lacks, by its own or others' grants: "EXECUTE on ...".
std::vector<std::string> missing_privileges(pg::Spi& spi, const pg::Extension& extension, Oid role, LevelSet levels);

} // namespace pgcleanup
