// Expressions between text and tree: parsing, printing, comparing. The layer below expression.h, which has the rules.
//
// Functions named pg_* may longjmp.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// An analyzed expression, allocated in the memory context that was current when it was parsed.
struct ExpressionTree {
    Node* tree;
    Bitmapset* target_columns;  // that it reads of the target, offset by FirstLowInvalidHeapAttributeNumber
    bool uses_whole_run;        // the row of the run's values as one
    const char* frozen_literal; // 'today' or its like, which would keep the value that it has now; or null
};

// What an expression that is assigned may name of its run: columns of a table of one row.
struct RunValue {
    const char* name;
    Oid type;
};
inline constexpr const char* run_alias = "run";
inline constexpr std::array<RunValue, 3> run_values{
    {{"cutoff", TIMESTAMPTZOID}, {"retain", INTERVALOID}, {"policy", TEXTOID}}};

// Where an expression stands.
struct ExpressionPlace {
    Oid relation = InvalidOid; // whose columns it may name; InvalidOid: none
    // The column of `relation` that it is assigned to: then it may name the values of a run too (`run.cutoff`). None:
    // it is a boolean.
    AttrNumber assigned = InvalidAttrNumber;
};

// Parses one expression, a boolean or of a type that can be assigned to the column, under the current search_path and
// settings; anything that is not exactly that is an error. The relation goes by its own name, or by `alias`.
ExpressionTree pg_parse_expression(const char* text, const ExpressionPlace& place, const char* alias);

// As text under the current settings: every column of the relation prefixed with `target`, every value of the run with
// `run`.
const char* pg_print_expression(const ExpressionTree& expression, const ExpressionPlace& place);

// Whether both mean the same to the executor: equal but for names that nothing depends on.
bool pg_same_expression(const ExpressionTree& left, const ExpressionTree& right);

} // namespace pgcleanup
