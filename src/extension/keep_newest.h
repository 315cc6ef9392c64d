// keep_last and keep_per: the newest rows of each group stay, whatever their age.
#pragma once

#include "extension/age.h"

namespace pgcleanup {

// A column of keep_per.
struct GroupColumn {
    std::string name; // as it is named in the catalogs
    AttrNumber number = InvalidAttrNumber;
    Oid type = InvalidOid;     // below any domain
    Oid equality = InvalidOid; // of the type's default operator class
    bool may_be_null = true;
};

// Raises undefined_column for a column that is not there (system columns are not), and undefined_function for one of a
// type without equality.
std::vector<GroupColumn> group_columns(const Policy& policy);

// A test over the alias `target`, a row of the policy's target or a partition of it, that is true unless the row is
// among the newest keep_last rows of its group, which is all rows of the whole target with equal keep_per values,
// whatever the condition says of them. NULLs are equal here. Of rows of equal age the one with the greater tableoid and
// ctid is the newer one, so exactly keep_last rows are; but where rows are updated, which gives them new ctids, all
// rows as old as the last of the newest stay too. A NULL age, or a uuid that is not of version 7, is never new. It is a
// probe of the group's end, which an index on (keep_per ..., age) serves. Needs keep_last and an age.
std::string not_among_newest(const Policy& policy, const AgeColumn& age);

// The bits that make a uuid a version 7 of the RFC: the order alone proves nothing, random uuids sort below a cutoff
// too. `column`: SQL.
std::string uuid7_test(const std::string& column);

} // namespace pgcleanup
