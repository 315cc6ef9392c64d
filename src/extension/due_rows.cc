#include "extension/due_rows.h"

#include "pg/text.h"

namespace pgcleanup {

namespace {

using pg::concat;

// Microseconds since 2000 of an expression of type timestamptz, as an integer, so that partitions can be compared.
std::string microseconds(const std::string& expression)
{
    return concat("((EXTRACT(epoch FROM ", expression, ") OPERATOR(pg_catalog.-) ",
                  static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY,
                  ") OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8");
}

std::optional<TimestampTz> to_timestamp(const pg::Cell& cell)
{
    return cell ? std::optional<TimestampTz>(pg::to_int64(cell)) : std::nullopt;
}

std::string blocked_rows_with(const std::string& condition)
{
    return concat("pg_catalog.count(*) FILTER (WHERE NOT pg_cleanup_test.is_free AND ", condition, ")");
}

std::vector<ForeignKey> blocking_keys(Oid leaf, Oid owner)
{
    std::vector<ForeignKey> keys = cascade_from(leaf, owner).find(leaf).keys;
    std::erase_if(keys, [](const ForeignKey& key) { return !key.blocks(); });
    return keys;
}

// What keeps a blocked row, in words, and how many rows it keeps. (A row that references itself is not blocked by
// that.)
struct Blocker {
    std::string name;
    std::string count; // SQL
};

std::vector<Blocker> blockers_of(Oid leaf, Oid owner)
{
    std::vector<Blocker> blockers;
    std::string none;
    for (const ForeignKey& key : blocking_keys(leaf, owner)) {
        const std::string probe =
            reference_probe(key, leaf, "target", "r", concat(" AND NOT (", same_row("r", "target"), ")"));
        blockers.push_back({concat(key.name, " on ", key.referencing_name), blocked_rows_with(probe)});
        none += concat(none.empty() ? "" : " AND ", probe, " IS NULL");
    }
    blockers.push_back(
        {"references to rows that would go along by CASCADE", blocked_rows_with(none.empty() ? "true" : none)});
    return blockers;
}

} // namespace

DueRows& DueRows::operator+=(const DueRows& other)
{
    eligible += other.eligible;
    blocked += other.blocked;
    for (const auto& [key, rows] : other.blocked_by)
        blocked_by[key] += rows;
    if (other.oldest && (!oldest || *other.oldest < *oldest))
        oldest = other.oldest;
    if (other.newest && (!newest || *other.newest > *newest))
        newest = other.newest;
    return *this;
}

DueRows count_due_rows(pg::Spi& spi, const Eligibility& eligibility, Oid leaf, Oid owner, bool rows_go)
{
    const std::string not_referenced = rows_go ? not_referenced_test(leaf, owner) : "true";
    const bool may_block = not_referenced != "true";
    const std::vector<Blocker> blockers = may_block ? blockers_of(leaf, owner) : std::vector<Blocker>();
    std::string columns;
    for (const Blocker& blocker : blockers)
        columns += ", " + blocker.count;
    const std::string age = eligibility.age_as_timestamp();
    // OFFSET 0 keeps the subquery one: its result is used more than once, and probes cost.
    const std::string sql = concat(
        "SELECT pg_catalog.count(*), ", microseconds(concat("pg_catalog.min(", age, ")")), ", ",
        microseconds(concat("pg_catalog.max(", age, ")")), ", ",
        may_block ? "pg_catalog.count(*) FILTER (WHERE NOT pg_cleanup_test.is_free)" : "0", columns, " FROM ONLY ",
        pg::relation_name(leaf), " AS target",
        may_block ? concat(" CROSS JOIN LATERAL (SELECT ", not_referenced, " OFFSET 0) AS pg_cleanup_test (is_free)")
                  : "",
        " WHERE ", eligibility.test(1));
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    const pg::Rows rows = spi.run(sql, parameters, pg::Access::read_only);
    DueRows due;
    due.eligible = pg::to_int64(rows[0][0]);
    due.oldest = to_timestamp(rows[0][1]);
    due.newest = to_timestamp(rows[0][2]);
    due.blocked = pg::to_int64(rows[0][3]);
    for (std::size_t n = 0; n < blockers.size(); ++n)
        if (const std::int64_t count = pg::to_int64(rows[0][4 + n]); count > 0)
            due.blocked_by[blockers[n].name] += count;
    return due;
}

} // namespace pgcleanup
