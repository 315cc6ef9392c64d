// What a policy refers to, and how that is told apart from what it referred to before.
#pragma once

#include "extension/expression_uses.h"

namespace pgcleanup {

// A description of everything that `uses` names, one line each, sorted: "thing: what it is". Tables and types go by
// OID, so a renamed one is the same; functions, operators and collations by name, because pg_upgrade gives them new
// OIDs. What PostgreSQL itself brings is left out. Reads catalogs as the current user.
std::string describe_uses(const ExpressionUses& uses);

// For people: what is in one description and not in the other, e.g. "column 3 of table 16400 was text kind, is integer
// kind".
std::string difference(const std::string& before, const std::string& now);

// Whether each line of `part` stands, as it is, in `whole`.
bool is_part_of(const std::string& part, const std::string& whole);

} // namespace pgcleanup
