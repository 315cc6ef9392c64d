// Expressions between text and tree: parsing, printing, comparing. The layer below expression.h, which has the rules.
//
// Functions named pg_* may longjmp.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// An analyzed boolean expression, allocated in the memory context that was current when it was parsed.
struct ExpressionTree {
    Node* tree;
    Bitmapset* target_columns;  // that it reads of the target, offset by FirstLowInvalidHeapAttributeNumber
    const char* frozen_literal; // 'today' or its like, which would keep the value that it has now; or null
};

// Parses one boolean expression under the current search_path and settings; anything that is not exactly that is an
// error. Columns are those of `relation` (InvalidOid: none), which goes by its own name, or by `alias`.
ExpressionTree pg_parse_expression(const char* text, Oid relation, const char* alias);

// As text under the current settings: every column of `relation` prefixed with `target`.
const char* pg_print_expression(const ExpressionTree& expression, Oid relation);

// Whether both mean the same to the executor: equal but for names that nothing depends on.
bool pg_same_expression(const ExpressionTree& left, const ExpressionTree& right);

} // namespace pgcleanup
