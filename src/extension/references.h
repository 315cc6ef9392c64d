// Foreign keys that point at a target: what goes along, what blocks.
#pragma once

#include "extension/policy.h"

namespace pgcleanup {

struct ForeignKey {
    Oid constraint = InvalidOid;
    std::string name;
    Oid referencing = InvalidOid;
    std::string referencing_name; // quoted, qualified
    Oid referencing_owner = InvalidOid;
    Oid referenced = InvalidOid;
    std::vector<std::string> referencing_columns; // quoted
    std::vector<std::string> referenced_columns;  // quoted
    std::vector<Oid> equality_operators;          // referenced = referencing, per column
    char on_delete = 'a';                         // a: NO ACTION, r: RESTRICT, c: CASCADE, n: SET NULL, d: SET DEFAULT
    bool indexed = false;                         // the referencing columns lead a usable index
    std::int64_t referencing_rows = 0;            // the planner's estimate
};

// The foreign keys that reference `relation` itself (a leaf partition's inherited ones included, once each). Reads
// catalogs only.
std::vector<ForeignKey> references_to(Oid relation);

// A test over the alias `target`, a row of `relation`, that is true when nothing that stays references it by RESTRICT or
// NO ACTION, directly or through rows that its deletion would cascade to; "true" when there is no such constraint. Written
// with scalar subqueries so that the planner keeps it a probe per row. References of tables that `owner` cannot read are
// left out: their constraints speak when the row is deleted.
std::string not_referenced_test(Oid relation, Oid owner);

// The tables that deletions from `relation` reach by CASCADE, SET NULL or SET DEFAULT, at any depth.
std::vector<Oid> dependents_of(Oid relation);

} // namespace pgcleanup
