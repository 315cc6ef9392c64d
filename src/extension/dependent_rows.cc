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
    Counter(pg::Spi& spi, const Eligibility& eligibility, const Cascade& cascade, Oid owner)
        : spi_(spi), eligibility_(eligibility), cascade_(cascade), target_(cascade.tables.front().table),
          going_target_(concat(eligibility.test(1), " AND ", not_referenced_test(target_, owner)))
    {
    }

    std::int64_t count()
    {
        if (cascade_.cyclic || !collect_paths(target_, {}))
            return count_recursively();
        std::int64_t rows = 0;
        for (const DependentGroup& group : groups_)
            rows += count_group(group);
        return rows;
    }

private:
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
        std::string condition = concat("EXISTS (SELECT FROM ", from_referenced(*path[0]), " AS target WHERE ",
                                       reference_match(*path[0], "target", "d1"), " AND ", going_target_, ")");
        for (std::size_t n = 1; n < path.size(); ++n) {
            const std::string parent = concat("d", n);
            condition = concat("EXISTS (SELECT FROM ", from_referenced(*path[n]), " AS ", parent, " WHERE ",
                               reference_match(*path[n], parent, concat("d", n + 1)), " AND ", condition, ")");
        }
        const std::string alias = concat("d", path.size());
        return concat("SELECT ", alias, ".tableoid, ", alias, ".ctid FROM ", from_referencing(*path.back()), " AS ", alias,
                      " WHERE ", condition);
    }

    std::string target_rows() const
    {
        return concat("SELECT target.tableoid, target.ctid FROM ", from_table(target_), " AS target WHERE ", going_target_);
    }

    std::int64_t count_group(const DependentGroup& group)
    {
        std::string rows;
        for (const Path& path : group.paths)
            rows += concat(rows.empty() ? "" : " UNION ", rows_of(path));
        // A row of the target that goes itself is counted there.
        if (group.topmost == topmost_table(target_))
            rows = concat("(", rows, ") EXCEPT ", target_rows());
        return run(concat("SELECT pg_catalog.count(*) FROM (", rows, ") AS dependent"));
    }

    std::int64_t count_recursively()
    {
        std::string changed;
        for (const CascadeTable& table : cascade_.tables)
            for (const ForeignKey& key : table.keys)
                if (!key.blocks() && !key.cascades())
                    changed += concat(" UNION SELECT r.tableoid, r.ctid FROM going, ", from_referenced(key), " AS p, ",
                                      from_referencing(key), " AS r WHERE p.tableoid OPERATOR(pg_catalog.=) going.tab"
                                      " AND p.ctid OPERATOR(pg_catalog.=) going.tid AND ", reference_match(key, "p", "r"));
        return run(concat("WITH RECURSIVE start AS MATERIALIZED (", target_rows(), "), ",
                          going_rows(cascade_, "SELECT start.tableoid, start.ctid FROM start"),
                          " SELECT pg_catalog.count(*) FROM ((SELECT going.tab, going.tid FROM going", changed,
                          ") EXCEPT SELECT start.tableoid, start.ctid FROM start) AS dependent"));
    }

    std::int64_t run(const std::string& sql)
    {
        pg::Parameters parameters;
        eligibility_.add_parameters(parameters);
        return pg::to_int64(spi_.run(sql, parameters, pg::Access::read_only)[0][0]);
    }

    pg::Spi& spi_;
    const Eligibility& eligibility_;
    const Cascade& cascade_;
    Oid target_;
    std::string going_target_;
    std::vector<DependentGroup> groups_;
};

} // namespace

std::int64_t count_dependent_rows(pg::Spi& spi, const Eligibility& eligibility, const Cascade& cascade, Oid owner)
{
    return Counter(spi, eligibility, cascade, owner).count();
}

} // namespace pgcleanup
