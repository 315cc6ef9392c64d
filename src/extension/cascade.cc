#include "extension/cascade.h"

#include "extension/set_values.h"

#include "extension/table_facts.h"
#include "pg/text.h"

extern "C" {
#include "catalog/partition.h"
}

namespace pgcleanup {

namespace {

constexpr int most_levels = 30;

// Walks the graph depth first; `path` is the way from the first table, by topmost tables.
class Walk {
public:
    Walk(Cascade& cascade, const ReferenceGraph& references, std::optional<Oid> reader)
        : cascade_(cascade), references_(references), reader_(reader)
    {
    }

    void visit(Oid table)
    {
        if (is_known(table))
            return;
        const std::size_t at = cascade_.tables.size();
        cascade_.tables.push_back({table, {}});
        path_.push_back(topmost_table(table));
        const auto found = references_.find(table);
        for (const ForeignKey& key : found == references_.end() ? std::vector<ForeignKey>() : found->second) {
            // A key may reference a partition alone, which may not be readable although the whole is.
            if (reader_ && !(may_read(key.referencing, *reader_) && may_read(key.referenced, *reader_))) {
                cascade_.unreadable.push_back(key);
                continue;
            }
            if (key.cascades())
                follow(key.referencing);
            cascade_.tables[at].keys.push_back(key);
        }
        path_.pop_back();
    }

private:
    void follow(Oid table)
    {
        if (std::ranges::find(path_, topmost_table(table)) != path_.end())
            cascade_.cyclic = true;
        visit(table);
    }

    bool is_known(Oid table) const
    {
        return std::ranges::any_of(cascade_.tables, [&](const CascadeTable& known) { return known.table == table; });
    }

    Cascade& cascade_;
    const ReferenceGraph& references_;
    std::optional<Oid> reader_;
    std::vector<Oid> path_;
};

// The rows that one CASCADE key adds to those that are going.
std::string step(const ForeignKey& key)
{
    return pg::concat(
        "SELECT r.tableoid, r.ctid FROM ", from_referenced(key), " AS p, ", from_referencing(key),
        " AS r WHERE p.tableoid OPERATOR(pg_catalog.=) going.tab AND p.ctid OPERATOR(pg_catalog.=) going.tid"
        " AND ",
        reference_match(key, "p", "r"));
}

// The rows that every CASCADE key adds to one row of `going`; empty when there is none.
std::string steps(const Cascade& cascade)
{
    std::string united;
    for (const CascadeTable& table : cascade.tables)
        for (const ForeignKey& key : table.keys)
            if (key.cascades())
                united += (united.empty() ? "" : " UNION ALL ") + step(key);
    return united;
}

} // namespace

const CascadeTable& Cascade::find(Oid table) const
{
    const auto found = std::ranges::find(tables, table, &CascadeTable::table);
    if (found == tables.end())
        pg::raise({.message = pg::concat("relation with OID ", table, " is not in the cascade")});
    return *found;
}

bool Cascade::has_blocking_keys() const
{
    return std::ranges::any_of(
        tables, [](const CascadeTable& table) { return std::ranges::any_of(table.keys, &ForeignKey::blocks); });
}

bool Cascade::reaches(Oid table) const
{
    const Oid topmost = topmost_table(table);
    if (cyclic && topmost == topmost_table(tables.front().table))
        return true;
    return std::any_of(tables.begin() + 1, tables.end(),
                       [&](const CascadeTable& known) { return topmost_table(known.table) == topmost; });
}

Cascade cascade_from(Oid relation, std::optional<Oid> reader)
{
    Cascade cascade;
    const std::shared_ptr<const ReferenceGraph> references = references_behind(relation);
    Walk(cascade, *references, reader).visit(relation);
    return cascade;
}

Cascade cascade_of(const Policy& policy, std::optional<Oid> reader)
{
    if (!updates_rows(policy))
        return cascade_from(policy.target, reader);
    Cascade alone;
    alone.tables.push_back({policy.target, {}});
    return alone;
}

Oid topmost_table(Oid table)
{
    return pg::pg_call([&] {
        if (!get_rel_relispartition(table))
            return table;
        List* ancestors = get_partition_ancestors(table);
        return ancestors == NIL ? table : llast_oid(ancestors);
    });
}

std::string going_rows(const Cascade& cascade, const std::string& seed)
{
    const std::string next = steps(cascade);
    if (next.empty())
        return pg::concat("going (tab, tid) AS (", seed, ")");
    return pg::concat("going (tab, tid) AS (", seed, cascade.cyclic ? " UNION " : " UNION ALL ",
                      "SELECT next.tab, next.tid FROM going CROSS JOIN LATERAL (", next, ") AS next (tab, tid))");
}

std::string going_rows_by_root(const Cascade& cascade, const std::string& seed)
{
    const std::string roots =
        pg::concat("SELECT root.tab, root.tid, root.tab, root.tid FROM (", seed, ") AS root (tab, tid)");
    const std::string next = steps(cascade);
    if (next.empty())
        return pg::concat("going (root_tab, root_tid, tab, tid) AS (", roots, ")");
    return pg::concat("going (root_tab, root_tid, tab, tid) AS (", roots, " UNION ",
                      "SELECT going.root_tab, going.root_tid, next.tab, next.tid FROM going CROSS JOIN LATERAL (", next,
                      ") AS next (tab, tid))");
}

std::string going_with_target(const Cascade& cascade)
{
    const std::string seed = "SELECT target.tableoid, target.ctid, 0";
    const std::string next = steps(cascade);
    if (next.empty())
        return pg::concat("going (tab, tid, depth) AS (", seed, ")");
    return pg::concat("going (tab, tid, depth) AS (", seed, cascade.cyclic ? " UNION " : " UNION ALL ",
                      "SELECT next.tab, next.tid, going.depth OPERATOR(pg_catalog.+) 1 FROM going CROSS JOIN LATERAL (",
                      next, ") AS next (tab, tid)",
                      cascade.cyclic ? pg::concat(" WHERE going.depth OPERATOR(pg_catalog.<) ", most_levels) : "", ")");
}

} // namespace pgcleanup
