// What a condition will say of a row a while from now.
#pragma once

#include "extension/expression.h"

namespace pgcleanup {

// The canonical condition with now(), CURRENT_TIMESTAMP, LOCALTIMESTAMP and their like moved ahead by `microseconds`,
// in sub-selects too; CURRENT_DATE, and functions that look at the clock by themselves, are left as they are. Inside a
// transaction, in the rights of the relation's owner; raises as read_canonical_condition().
std::string condition_later(Oid relation, const std::string& canonical, std::int64_t microseconds);

} // namespace pgcleanup
