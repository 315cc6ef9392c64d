#include "extension/family_statements.h"

#include "extension/table_facts.h"
#include "pg/memory.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;

namespace {

// Shapes of deletes differ with the leaf tables that a family meets; a target with many partitions has many shapes.
constexpr std::size_t most_plans = 200;

constexpr std::string_view probe_end = " LIMIT 1)";

// Collects rows of (given ctid, tableoid, ctid) while the executor runs, where nothing may throw.
class LinkedRowsCollector : public pg::RowReceiver {
public:
    explicit LinkedRowsCollector(std::size_t most) : most_(most) {}
    bool pg_row(TupleTableSlot* slot) override
    {
        bool is_null = false;
        const LinkedRows row{*reinterpret_cast<ItemPointer>(DatumGetPointer(slot_getattr(slot, 1, &is_null))),
                             DatumGetObjectId(slot_getattr(slot, 2, &is_null)),
                             *reinterpret_cast<ItemPointer>(DatumGetPointer(slot_getattr(slot, 3, &is_null)))};
        try {
            rows_.push_back(row);
        } catch (const std::bad_alloc&) {
            is_out_of_memory_ = true;
            return false;
        }
        return rows_.size() <= most_;
    }
    std::vector<LinkedRows> take()
    {
        if (is_out_of_memory_)
            throw std::bad_alloc();
        return std::move(rows_);
    }

private:
    std::vector<LinkedRows> rows_;
    std::size_t most_;
    bool is_out_of_memory_ = false;
};

std::string only(Oid leaf)
{
    return concat("ONLY ", pg::relation_name(leaf));
}

// Given rows of a leaf, under an alias: where they are read from, and the condition that they are the ones of $1.
struct GivenRows {
    std::string from;
    std::string are_given;
};

GivenRows given_rows(const FamilyLinks& links, Oid leaf, std::string_view alias)
{
    const Oid table = links.readable(leaf);
    const std::string within =
        table == leaf ? "" : concat(" AND ", alias, ".tableoid OPERATOR(pg_catalog.=) ", leaf, "::pg_catalog.oid");
    return {concat(from_table(table), " AS ", alias), concat(alias, ".ctid OPERATOR(pg_catalog.=) ANY ($1)", within)};
}

// The rows of `table` that are `p` for given rows.
std::string up_sql(const FamilyLink& link, const GivenRows& given, Oid table)
{
    return concat("SELECT r.ctid, p.tableoid, p.ctid FROM ", given.from, ", ", from_table(table), " AS p WHERE ",
                  given.are_given, " AND ", link.match);
}

const char* lock_clause(RowLock lock)
{
    switch (lock) {
    case RowLock::update:
        return " FOR UPDATE SKIP LOCKED";
    case RowLock::no_key_update:
        return " FOR NO KEY UPDATE SKIP LOCKED";
    default:
        return "";
    }
}

} // namespace

const pg::Plan& FamilyStatements::plan(const std::string& sql, const pg::Parameters& parameters)
{
    auto found = plans_.find(sql);
    if (found == plans_.end()) {
        if (plans_.size() >= most_plans)
            plans_.clear();
        // Generic: with an array in sight the planner may think of reading the whole table instead.
        pg::Plan prepared(sql, parameters.types(), CURSOR_OPT_GENERIC_PLAN);
        const bool probes = sql.ends_with(probe_end);
        found = plans_.emplace(sql, TidPlan(std::move(prepared), probes)).first;
    }
    if (sql.ends_with(probe_end))
        found->second.ensure();
    return found->second.plan();
}

std::vector<LinkedRows> FamilyStatements::linked(pg::Spi& spi, const std::string& sql, const RowIds& given,
                                                 std::size_t most, const pg::Parameters& more)
{
    const pg::TemporaryMemory memory("pg_cleanup linked rows");
    pg::Parameters parameters;
    parameters.value(TIDARRAYOID, row_id_array(given)).append(more);
    LinkedRowsCollector collector(most);
    spi.stream(plan(sql, parameters), parameters, collector, access_);
    return collector.take();
}

std::vector<LinkedRows> FamilyStatements::down(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& given,
                                               std::size_t most)
{
    const FamilyLink& facts = links_.all()[link];
    const GivenRows rows = given_rows(links_, leaf, "p");
    return linked(spi,
                  concat("SELECT p.ctid, r.tableoid, r.ctid FROM ", rows.from, ", ", from_table(facts.to),
                         " AS r WHERE ", rows.are_given, " AND ", facts.match),
                  given, most);
}

std::vector<LinkedRows> FamilyStatements::up(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& given,
                                             std::size_t most)
{
    const FamilyLink& facts = links_.all()[link];
    return linked(spi, up_sql(facts, given_rows(links_, leaf, "r"), facts.from), given, most);
}

std::vector<LinkedRows> FamilyStatements::users(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& given,
                                                std::int64_t most_each)
{
    const FamilyLink& facts = links_.all()[link];
    // Through an index a few of many users are found quickly; without one, a single pass over the table serves all.
    if (!facts.users_are_indexed)
        return linked(spi, up_sql(facts, given_rows(links_, leaf, "r"), facts.users), given, SIZE_MAX - 1);
    return linked(spi,
                  concat("SELECT r.ctid, p.tableoid, p.ctid FROM ", only(leaf),
                         " AS r CROSS JOIN LATERAL (SELECT p.tableoid, p.ctid FROM ", from_table(facts.users),
                         " AS p WHERE ", facts.match, " LIMIT $2) AS p WHERE r.ctid OPERATOR(pg_catalog.=) ANY ($1)"),
                  given, SIZE_MAX - 1, pg::Parameters().int8(most_each));
}

RowIds FamilyStatements::ids(pg::Spi& spi, const std::string& sql, const RowIds& rows, bool with_eligibility)
{
    const pg::TemporaryMemory memory("pg_cleanup row ids");
    pg::Parameters parameters;
    parameters.value(TIDARRAYOID, row_id_array(rows));
    if (with_eligibility)
        eligibility_.add_parameters(parameters);
    RowIdCollector collector(rows.size());
    spi.stream(plan(sql, parameters), parameters, collector, access_);
    RowIds found = collector.take_sorted();
    // A row that was updated while its lock was taken comes back as another version: not what was asked for.
    RowIds asked = rows;
    std::sort(asked.begin(), asked.end(), row_id_less);
    std::erase_if(found, [&](const ItemPointerData& id) {
        return !std::binary_search(asked.begin(), asked.end(), id, row_id_less);
    });
    return found;
}

RowIds FamilyStatements::blocked(pg::Spi& spi, std::size_t link, Oid leaf, const RowIds& rows)
{
    const FamilyLink& facts = links_.all()[link];
    const GivenRows given = given_rows(links_, leaf, "p");
    return ids(spi,
               concat("SELECT p.ctid FROM ", given.from, " WHERE ", given.are_given, " AND (SELECT true FROM ",
                      from_table(facts.to), " AS r WHERE ", facts.match, " AND NOT (", same_row("r", "p"), ")",
                      probe_end),
               rows, false);
}

RowIds FamilyStatements::lock(pg::Spi& spi, Oid leaf, const RowIds& rows, RowLock lock)
{
    return ids(spi,
               concat("SELECT r.ctid FROM ", only(leaf), " AS r WHERE r.ctid OPERATOR(pg_catalog.=) ANY ($1)",
                      lock_clause(lock)),
               rows, false);
}

RowIds FamilyStatements::eligible(pg::Spi& spi, Oid leaf, const RowIds& rows, RowLock lock)
{
    return ids(spi,
               concat("SELECT target.ctid FROM ", only(leaf), " AS target WHERE target.ctid OPERATOR(pg_catalog.=)",
                      " ANY ($1) AND (", eligibility_.test(2), ") IS TRUE", lock_clause(lock)),
               rows, true);
}

std::vector<FamilyStatements::Removed> FamilyStatements::remove(pg::Spi& spi, const std::vector<DeletePart>& parts,
                                                                const RemovalHook* hook)
{
    const pg::TemporaryMemory memory("pg_cleanup delete");
    const auto first_value = static_cast<int>(parts.size()) + 1;
    pg::Parameters parameters;
    std::string sql;
    std::string counts;
    for (std::size_t n = 0; n < parts.size(); ++n) {
        const DeletePart& part = parts[n];
        parameters.value(TIDARRAYOID, row_id_array(part.rows));
        // As one boolean the test of the age cannot tempt the planner away from the row ids.
        const std::string test = part.is_tested ? concat(" AND (", eligibility_.test(first_value), ") IS TRUE") : "";
        sql += concat(n == 0 ? "WITH " : ", ", "d", n, " AS (DELETE FROM ", only(part.leaf),
                      " AS target WHERE target.ctid OPERATOR(pg_catalog.=) ANY ($", n + 1, ")", test, " RETURNING ",
                      hook != nullptr ? hook->returning(part.leaf) : "1", ")");
        const std::string more = hook != nullptr ? hook->statement(part.leaf, concat("d", n)) : "";
        if (!more.empty())
            sql += concat(", h", n, " AS (", more, ")");
        counts += concat(n == 0 ? "" : ", ", "(SELECT pg_catalog.count(*) FROM d", n, "), ",
                         more.empty() ? "0" : concat("(SELECT pg_catalog.count(*) FROM h", n, ")"));
    }
    eligibility_.add_parameters(parameters);
    const pg::Rows rows = spi.run(plan(concat(sql, " SELECT ", counts), parameters), parameters);
    std::vector<Removed> removed;
    for (std::size_t n = 0; n < parts.size(); ++n)
        removed.push_back({pg::to_int64(rows[0][2 * n]), pg::to_int64(rows[0][2 * n + 1])});
    return removed;
}

} // namespace pgcleanup
