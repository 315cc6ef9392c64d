// What an analyzed expression refers to, sub-selects, default arguments and views inside included.
#pragma once

#include "extension/expression_tree.h"

namespace pgcleanup {

// Plain data, with repetitions.
struct ExpressionUses {
    List* relations;        // Oid
    List* views;            // Oid, of those among them that are views
    List* column_relations; // Oid, in parallel with
    List* column_numbers;   // int: AttrNumber; 0 stands for the whole row
    List* functions;        // Oid
    List* operators;        // Oid
    List* types;            // Oid
    List* collations;       // Oid
    List* enum_values;      // Oid of pg_enum, of constants
    Oid volatile_function;  // InvalidOid: none
    Oid temporary_relation; // InvalidOid: none
    bool takes_number;      // of a sequence
    bool samples;           // TABLESAMPLE
    bool locks_or_writes;   // FOR UPDATE ... in a sub-select
};

// Adds what `expression` uses. May longjmp. Takes AccessShareLock on views.
void pg_collect_uses(const ExpressionTree& expression, Oid target, ExpressionUses* uses);

} // namespace pgcleanup
