// Foreign keys that point at a target: what goes along, what blocks.
#pragma once

#include "extension/policy.h"

#include <map>

namespace pgcleanup {

struct ForeignKey {
    Oid constraint = InvalidOid;
    std::string name; // as it was declared: partitions have copies with numbers
    Oid referencing = InvalidOid;
    std::string referencing_name; // quoted, qualified
    Oid referencing_owner = InvalidOid;
    bool referencing_partitioned = false;
    Oid referenced = InvalidOid;
    std::string referenced_name; // quoted, qualified
    bool referenced_partitioned = false;
    std::vector<std::string> referencing_columns; // quoted
    std::vector<std::string> referenced_columns;  // quoted
    std::vector<AttrNumber> referencing_attributes;
    std::vector<AttrNumber> referenced_attributes;
    std::vector<Oid> equality_operators; // referenced = referencing, per column
    std::string trigger;                 // the one that acts on a delete: they fire in the order of their names
    char on_delete = 'a';                // a: NO ACTION, r: RESTRICT, c: CASCADE, n: SET NULL, d: SET DEFAULT
    // The leaf tables of the referencing side without a usable index that the referencing columns lead.
    std::vector<Oid> unindexed;
    std::int64_t referencing_rows = 0; // the planner's estimate

    bool blocks() const noexcept { return on_delete == 'a' || on_delete == 'r'; }
    bool cascades() const noexcept { return on_delete == 'c'; }
};

// The foreign keys that act when a row of `relation` is deleted, by name: those that reference it, for a partition the
// ones that its parents hand down, for a partitioned table also those that reference a partition of it alone; once
// each. Not among them: constraints that are not enforced, whose triggers are disabled, or that are temporal (PERIOD).
// Reads catalogs only.
std::vector<ForeignKey> references_to(Oid relation);

// For each table that is referenced, what references_to() says of it: of `relation` and of every table that deletions
// reach from there by CASCADE (and perhaps of more), in one query.
//
// A worker remembers what it has read, of all partitions of a table at once, until PostgreSQL tells it that a
// definition has changed: a run asks for each of hundreds of partitions.
using ReferenceGraph = std::map<Oid, std::vector<ForeignKey>>;
std::shared_ptr<const ReferenceGraph> references_behind(Oid relation);

// The condition, without parentheses, that the row `referencing` references the row `referenced` (both aliases), by the
// constraint's own operators, written so that an index on the referencing columns serves. A NULL references nothing.
std::string reference_match(const ForeignKey& key, std::string_view referenced, std::string_view referencing);

// The table of either end, for FROM: with ONLY, unless it is partitioned.
std::string from_referencing(const ForeignKey& key);
std::string from_referenced(const ForeignKey& key);

// A scalar subquery, true or NULL: whether another row, called `row` inside, references the row `alias` of `table` by
// this key and meets `condition` (empty, or beginning with AND). A LIMIT keeps the planner from turning it into a join,
// which would read a whole table for each batch.
std::string reference_probe(const ForeignKey& key, Oid table, std::string_view alias, std::string_view row,
                            std::string_view condition = "");

// A key of a partitioned `table` may reference one of its partitions alone: the test, beginning with AND, that the row
// `alias` of `table` is in that; otherwise empty.
std::string within_partition(const ForeignKey& key, Oid table, std::string_view alias);

// The condition that the rows `left` and `right` (aliases of tables) are one and the same.
std::string same_row(std::string_view left, std::string_view right);

// A test over the alias `target`, a row of `relation`, that is true when nothing that stays references it by RESTRICT
// or NO ACTION, directly or through rows that its deletion would cascade to; "true" when there is no such constraint.
// Written with scalar subqueries so that the planner keeps it a probe per row. References of tables that `owner` cannot
// read are left out: their constraints speak when the row is deleted.
//
// A blocker that is itself eligible blocks all the same. One that goes by the same row's cascade does not, when
// PostgreSQL deletes it before it checks the constraint: deletes go down the cascade level by level, and each level's
// constraints are checked with the next level's deletes. Where the order within one level is by chance, it blocks.
// (Behind more than thirty levels of a cycle, the constraint speaks when the row is deleted.)
std::string not_referenced_test(Oid relation, Oid owner);

// The tables whose rows can make that test false, each once.
std::vector<Oid> blocking_tables(Oid relation, Oid owner);

// The tables that deletions from `relation` reach by CASCADE, SET NULL or SET DEFAULT, at any depth: leaf partitions in
// place of partitioned tables, each once; `relation` itself only when its rows reach others of its own.
std::vector<Oid> dependents_of(Oid relation);

} // namespace pgcleanup
