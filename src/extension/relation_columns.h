// The columns of a relation: read from JSON, found in the tables, and compared.
#pragma once

#include "extension/relation.h"

namespace pgcleanup {

struct ColumnPair {
    AttrNumber target = 0;
    AttrNumber related = 0;
    Oid equality = InvalidOid; // target = related
};

// Sets the columns of a relation from its on_columns, and that to its canonical text. Raises invalid_parameter_value
// unless it is an object with at least one member, whose values are strings, each once.
void read_columns(DeclaredRelation& relation);

// Raises undefined_column for a column that is not there (system columns are not), datatype_mismatch when no equality
// of a default operator class (btree, or else hash) compares the two, or their collations would disagree on it.
std::vector<ColumnPair> column_pairs(const DeclaredRelation& relation, Oid target);

} // namespace pgcleanup
