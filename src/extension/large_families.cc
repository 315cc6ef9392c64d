// Warns of families that are too large for one transaction.
#include "extension/calls.h"
#include "extension/settings.h"
#include "extension/table_facts.h"
#include "extension/warnings.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

// How many rows of the referencing table share their values, at most, by the statistics; NULL when there are none.
// Of several columns the one that tells rows apart best.
constexpr const char* fan_out_sql = R"(
SELECT min(coalesce(s.stanumbers1[1], CASE WHEN s.stadistinct > 0 THEN 1 / s.stadistinct WHEN s.stadistinct < 0 THEN
             -1 / s.stadistinct / greatest(c.reltuples, 1) END))
FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid
WHERE s.starelid = $1 AND s.staattnum = ANY ($2::int2[]) AND s.stainherit = (c.relkind = 'p')
  AND (s.stakind1 = 1 OR s.stadistinct <> 0))";

// The share of the referencing rows that reference one row, at most.
std::optional<double> largest_share(const ForeignKey& key)
{
    std::string columns;
    for (const AttrNumber column : key.referencing_attributes)
        columns += concat(columns.empty() ? "{" : ",", static_cast<int>(column));
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    pg::Spi spi;
    const pg::Rows rows = spi.run(fan_out_sql, pg::Parameters().oid(key.referencing).text(columns + "}"));
    return rows[0][0] ? std::optional<double>(pg::to_double(rows[0][0])) : std::nullopt;
}

// Whether a family might have more than `most` rows, by statistics and estimates, generously; asking the rows
// themselves costs as much as deleting them.
class Suspicion {
public:
    Suspicion(const Cascade& cascade, double most) : cascade_(cascade), most_(most) {}

    bool of(Oid table, double rows, int depth)
    {
        return std::ranges::any_of(cascade_.find(table).keys,
                                   [&](const ForeignKey& key) { return key.cascades() && behind(key, rows, depth); });
    }

private:
    bool behind(const ForeignKey& key, double rows, int depth)
    {
        constexpr int deepest = 30;
        constexpr double margin = 4; // statistics are samples, and old
        const std::optional<double> share = largest_share(key);
        const auto all = static_cast<double>(key.referencing_rows);
        const double more = std::min(all, rows * margin * (share ? std::max(*share * all, 1.0) : all));
        sum_ += more;
        return sum_ > most_ || depth > deepest || of(key.referencing, more, depth + 1);
    }

    const Cascade& cascade_;
    double most_;
    double sum_ = 1;
};

std::int64_t largest_family(pg::Spi& spi, const DryRunFacts& facts)
{
    const std::string seed = concat("SELECT target.tableoid, target.ctid FROM ", from_table(facts.policy.target),
                                    " AS target WHERE ", facts.eligibility.test(1));
    const std::string sql = concat(
        "WITH RECURSIVE ", going_rows_by_root(facts.cascade, seed),
        " SELECT pg_catalog.max(family.size) FROM (SELECT pg_catalog.count(DISTINCT (going.tab, going.tid)) AS size"
        " FROM going GROUP BY going.root_tab, going.root_tid) AS family");
    pg::Parameters parameters;
    facts.eligibility.add_parameters(parameters);
    const pg::Rows rows = spi.run(sql, parameters, pg::Access::read_only);
    return rows[0][0] ? pg::to_int64(rows[0][0]) : 0;
}

} // namespace

void warn_of_large_families(pg::Spi& spi, const DryRunFacts& facts, Warnings& list)
{
    const std::int64_t most = max_family_rows();
    if (facts.due.eligible == 0 || facts.policy.on_reference != "follow" ||
        !Suspicion(facts.cascade, static_cast<double>(most)).of(facts.policy.target, 1, 0))
        return;
    const std::int64_t largest = largest_family(spi, facts);
    if (largest <= most)
        return;
    list.push_back(concat(
        "The largest family has ", largest, " rows, more than pg_cleanup.max_family_rows (", most, "): ",
        facts.policy.split_families ? "it is split over several transactions, and torn meanwhile."
                                    : "it goes in one transaction, which holds its locks that long. To split it over "
                                      "several, and have it torn meanwhile: SELECT " +
                                          qualified(facts.extension, "cleanup_alter_policy") + "(" +
                                          pg::quote_literal(facts.policy.name) + ", split_families => true);"));
}

} // namespace pgcleanup
