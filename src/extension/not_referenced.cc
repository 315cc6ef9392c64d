// Composes the test that nothing which stays references a row.
#include "extension/cascade.h"

#include "extension/table_facts.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

// The usual case, as nested scalar subqueries: one probe per key and row.
class Probes {
public:
    explicit Probes(const Cascade& cascade) : cascade_(cascade), target_(topmost_table(cascade.tables.front().table)) {}

    // Tests over `alias`, a row of `table`, joined by AND; empty when nothing can block it.
    std::string tests(Oid table, const std::string& alias)
    {
        std::string joined;
        for (const ForeignKey& key : cascade_.find(table).keys) {
            const std::string test = key.blocks()     ? blocker(table, key, alias)
                                     : key.cascades() ? through(table, key, alias)
                                                      : "";
            if (!test.empty())
                joined += (joined.empty() ? "" : " AND ") + test;
        }
        return joined;
    }

private:
    std::string blocker(Oid table, const ForeignKey& key, const std::string& alias)
    {
        const std::string row = next_alias();
        // A row that references itself does not block itself.
        const std::string others =
            topmost_table(key.referencing) == target_ ? pg::concat(" AND NOT (", same_row(row, "target"), ")") : "";
        return pg::concat(reference_probe(key, table, alias, row, others), " IS NULL");
    }

    std::string through(Oid table, const ForeignKey& key, const std::string& alias)
    {
        const std::string row = next_alias();
        const std::string inner = tests(key.referencing, row);
        if (inner.empty())
            return "";
        return pg::concat(reference_probe(key, table, alias, row, pg::concat(" AND NOT (", inner, ")")), " IS NULL");
    }

    std::string next_alias() { return pg::concat("r", ++aliases_); }

    const Cascade& cascade_;
    Oid target_;
    int aliases_ = 0;
};

// A row that references the same row by CASCADE too is gone before the constraint is checked if that trigger fires
// first.
std::string not_taken_before(const CascadeTable& table, const ForeignKey& blocking)
{
    std::string condition;
    for (const ForeignKey& key : table.keys)
        if (key.cascades() && key.referencing == blocking.referencing && key.trigger < blocking.trigger)
            condition += pg::concat(" AND (", reference_match(key, "p", "r"), ") IS NOT TRUE");
    return condition;
}

// The rows that reference a row of `going` in a way that blocks it.
std::string blockers_of(const CascadeTable& table, const ForeignKey& key)
{
    return pg::concat(
        "SELECT r.tableoid, r.ctid FROM ", from_referenced(key), " AS p, ", from_referencing(key),
        " AS r WHERE p.tableoid OPERATOR(pg_catalog.=) going.tab AND p.ctid OPERATOR(pg_catalog.=) going.tid AND ",
        reference_match(key, "p", "r"), not_taken_before(table, key));
}

// Where a table that blocks is one whose rows go by the same cascade, or the graph has cycles: all that goes with the
// row is gathered, and a blocker must go no later than what it references.
std::string recursive_test(const Cascade& cascade)
{
    std::string blockers;
    for (const CascadeTable& table : cascade.tables)
        for (const ForeignKey& key : table.keys)
            if (key.blocks())
                blockers += (blockers.empty() ? "" : " UNION ALL ") + blockers_of(table, key);
    return pg::concat(
        "(WITH RECURSIVE ", going_with_target(cascade), " SELECT true FROM going CROSS JOIN LATERAL (", blockers,
        ") AS blocker (tab, tid) WHERE NOT EXISTS (SELECT FROM going AS gone"
        " WHERE gone.tab OPERATOR(pg_catalog.=) blocker.tab AND gone.tid OPERATOR(pg_catalog.=) blocker.tid"
        " AND gone.depth OPERATOR(pg_catalog.<=) going.depth) LIMIT 1) IS NULL");
}

bool blocker_may_go_along(const Cascade& cascade)
{
    for (const CascadeTable& table : cascade.tables)
        for (const ForeignKey& key : table.keys)
            if (key.blocks() && cascade.reaches(key.referencing))
                return true;
    return false;
}

} // namespace

std::string not_referenced_test(Oid relation, Oid owner)
{
    const Cascade cascade = cascade_from(relation, owner);
    if (!cascade.has_blocking_keys())
        return "true";
    if (cascade.cyclic || blocker_may_go_along(cascade))
        return recursive_test(cascade);
    return Probes(cascade).tests(relation, "target");
}

std::vector<Oid> blocking_tables(Oid relation, Oid owner)
{
    std::vector<Oid> blockers;
    for (const CascadeTable& table : cascade_from(relation, owner).tables)
        for (const ForeignKey& key : table.keys)
            if (key.blocks() && std::ranges::find(blockers, key.referencing) == blockers.end())
                blockers.push_back(key.referencing);
    return blockers;
}

std::vector<Oid> dependents_of(Oid relation)
{
    std::vector<Oid> dependents;
    const auto add = [&](Oid table) {
        for (const Oid leaf : leaves_of(table))
            if (std::ranges::find(dependents, leaf) == dependents.end())
                dependents.push_back(leaf);
    };
    for (const CascadeTable& table : cascade_from(relation, std::nullopt).tables)
        for (const ForeignKey& key : table.keys)
            if (!key.blocks())
                add(key.referencing);
    return dependents;
}

} // namespace pgcleanup
