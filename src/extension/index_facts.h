// Whether an index on the age column can serve.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

enum class IndexUse {
    search, // finds the rows before a cutoff: btree, BRIN and kin
    order,  // yields rows by age: btree
};

// Whether `leaf` has a valid index of all rows (NULLs apart) that the column leads; a column anywhere in a BRIN index
// counts for searching. Reads catalogs only.
bool has_age_index(pg::Spi& spi, Oid leaf, const std::string& column, IndexUse use);

// Whether `leaf` has a valid btree index of all rows (NULL ages apart) whose first columns are `group`, in any order,
// and then `column`: it finds the newest rows of a group. Reads catalogs only.
bool has_group_index(pg::Spi& spi, Oid leaf, const std::vector<std::string>& group, const std::string& column);

} // namespace pgcleanup
