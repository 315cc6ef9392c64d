// Counts the rows that go or change with the eligible ones.
#include "extension/due_rows.h"

#include "extension/table_facts.h"

namespace pgcleanup {

namespace {

using pg::concat;

// More paths than this through the keys of one table make the recursive query the smaller evil.
constexpr std::size_t max_paths = 40;

// A way from the target to a dependent table: the keys, first one first.
using Path = std::vector<const ForeignKey*>;

// Dependent tables that may share rows (partitions of one table) are counted together.
struct DependentGroup {
    Oid topmost;
    std::vector<Path> paths;
};

class Counter {
public:
    Counter(const Eligibility& eligibility, const Cascade& cascade, Oid owner)
        : cascade_(cascade), target_(cascade.tables.front().table),
          going_(going_target(eligibility, not_referenced_test(target_, owner)))
    {
    }

    // One statement that yields the count; its parameters are those of the eligibility.
    std::string compose()
    {
        if (cascade_.cyclic || !collect_paths(target_, {}))
            return compose_recursive();
        std::string sum = "0";
        for (const DependentGroup& group : groups_)
            sum += concat(" OPERATOR(pg_catalog.+) (", count_group(group), ")");
        return concat("WITH ", going_, " SELECT ", sum);
    }

private:
    // A common table expression of the target's rows that go, with the columns that keys reference. Kept apart from the
    // joins: the planner believes the test of references to be so expensive that all ways of joining look alike to it.
    // The subquery lets it expect every second row to pass, not hardly any.
    std::string going_target(const Eligibility& eligibility, const std::string& not_referenced) const
    {
        std::string columns;
        for (const std::string& column : referenced_columns())
            columns += concat(", target.", column);
        const std::string from = concat(" FROM ", from_table(target_), " AS target");
        const std::string free = not_referenced == "true" ? ""
                                                          : concat(" CROSS JOIN LATERAL (SELECT ", not_referenced,
                                                                   " OFFSET 0) AS pg_cleanup_test (is_free)");
        return concat("going_target AS MATERIALIZED (SELECT target.tableoid, target.ctid", columns, from, free,
                      " WHERE ", eligibility.test(1), free.empty() ? "" : " AND pg_cleanup_test.is_free", ")");
    }

    std::vector<std::string> referenced_columns() const
    {
        std::vector<std::string> columns;
        for (const ForeignKey& key : cascade_.tables.front().keys)
            for (const std::string& column : key.referenced_columns)
                if (!key.blocks() && std::ranges::find(columns, column) == columns.end())
                    columns.push_back(column);
        return columns;
    }

    // False when there are too many paths.
    bool collect_paths(Oid table, const Path& before)
    {
        for (const ForeignKey& key : cascade_.find(table).keys) {
            if (key.blocks())
                continue;
            Path path = before;
            path.push_back(&key);
            DependentGroup& group = group_of(key.referencing);
            group.paths.push_back(path);
            if (group.paths.size() > max_paths || (key.cascades() && !collect_paths(key.referencing, path)))
                return false;
        }
        return true;
    }

    DependentGroup& group_of(Oid table)
    {
        const Oid topmost = topmost_table(table);
        const auto found = std::ranges::find(groups_, topmost, &DependentGroup::topmost);
        if (found != groups_.end())
            return *found;
        return groups_.emplace_back(DependentGroup{topmost, {}});
    }

    // The rows at the end of a path: d<n> is the alias of the table that its n-th key leads to.
    std::string rows_of(const Path& path) const
    {
        std::string condition =
            concat("EXISTS (SELECT FROM going_target AS target WHERE ", reference_match(*path[0], "target", "d1"),
                   within_partition(*path[0], target_, "target"), ")");
        for (std::size_t n = 1; n < path.size(); ++n) {
            const std::string parent = concat("d", n);
            condition = concat("EXISTS (SELECT FROM ", from_referenced(*path[n]), " AS ", parent, " WHERE ",
                               reference_match(*path[n], parent, concat("d", n + 1)), " AND ", condition, ")");
        }
        const std::string alias = concat("d", path.size());
        return concat("SELECT ", alias, ".tableoid, ", alias, ".ctid FROM ", from_referencing(*path.back()), " AS ",
                      alias, " WHERE ", condition);
    }

    std::string count_group(const DependentGroup& group) const
    {
        std::string rows;
        for (const Path& path : group.paths)
            rows += concat(rows.empty() ? "" : " UNION ", rows_of(path));
        // A row of the target that goes itself is counted there.
        if (group.topmost == topmost_table(target_))
            rows = concat("(", rows, ") EXCEPT SELECT going_target.tableoid, going_target.ctid FROM going_target");
        return concat("SELECT pg_catalog.count(*) FROM (", rows, ") AS dependent");
    }

    std::string compose_recursive() const
    {
        std::string changed;
        for (const CascadeTable& table : cascade_.tables)
            for (const ForeignKey& key : table.keys)
                if (!key.blocks() && !key.cascades())
                    changed += concat(" UNION SELECT r.tableoid, r.ctid FROM going, ", from_referenced(key), " AS p, ",
                                      from_referencing(key),
                                      " AS r WHERE p.tableoid OPERATOR(pg_catalog.=) going.tab"
                                      " AND p.ctid OPERATOR(pg_catalog.=) going.tid AND ",
                                      reference_match(key, "p", "r"));
        return concat("WITH RECURSIVE ", going_, ", ",
                      going_rows(cascade_, "SELECT going_target.tableoid, going_target.ctid FROM going_target"),
                      " SELECT pg_catalog.count(*) FROM ((SELECT going.tab, going.tid FROM going", changed,
                      ") EXCEPT SELECT going_target.tableoid, going_target.ctid FROM going_target) AS dependent");
    }

    const Cascade& cascade_;
    Oid target_;
    std::string going_;
    std::vector<DependentGroup> groups_;
};

} // namespace

std::int64_t count_dependent_rows(pg::Spi& spi, const Eligibility& eligibility, const Cascade& cascade, Oid owner)
{
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    const std::string sql = Counter(eligibility, cascade, owner).compose();
    return pg::to_int64(spi.run(sql, parameters, pg::Access::read_only)[0][0]);
}

} // namespace pgcleanup
