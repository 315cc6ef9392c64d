#include "extension/leaf_statements.h"

#include "extension/builtin_code.h"
#include "extension/references.h"
#include "pg/latest_versions.h"
#include "pg/text.h"

extern "C" {
#include "catalog/partition.h"
}

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

// A page holds at most 291 heap tuples (htup_details.h, MaxHeapTuplesPerPage).
std::size_t most_rows(core::BlockRange blocks)
{
    return static_cast<std::size_t>(blocks.end - blocks.begin) * MaxHeapTuplesPerPage;
}

std::vector<ItemPointerData> bounds(core::BlockRange blocks)
{
    std::vector<ItemPointerData> ids(2);
    ItemPointerSet(ids.data(), blocks.begin, 0);
    ItemPointerSet(&ids[1], blocks.end, 0);
    return ids;
}

Datum copied_row_id(const ItemPointerData& id)
{
    return pg_call([&] {
        auto* copy = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
        *copy = id;
        return PointerGetDatum(copy);
    });
}

constexpr int sample_size = 5;

} // namespace

LeafStatements::LeafStatements(const Policy& /*policy*/, const Eligibility& eligibility, Oid leaf, Oid owner,
                               ReferenceRule rule, const RowUpdate* update)
    : eligibility_(eligibility), leaf_(leaf), owner_(owner), update_(update), name_(pg::relation_name(leaf)),
      rule_(rule), not_referenced_(reference_test(rule, leaf, owner)),
      must_lock_first_(rule == ReferenceRule::unreferenced || depends_on_other_rows())
{
}

bool LeafStatements::depends_on_other_rows() const
{
    if (eligibility_.keeps_newest())
        return true;
    const pg::Spi spi;
    const pg::Plan plan(concat("SELECT FROM ONLY ", name_, " AS target WHERE ", eligibility_.condition()), {});
    return may_read_other_rows(plan);
}

pg::Parameters LeafStatements::parameters(Kind kind, const WorkUnit& unit) const
{
    pg::Parameters values;
    if (const auto* blocks = std::get_if<core::BlockRange>(&unit)) {
        for (const ItemPointerData& bound : bounds(*blocks))
            values.value(TIDOID, copied_row_id(bound));
    } else {
        values.value(TIDARRAYOID, row_id_array(std::get<RowIds>(unit)));
    }
    (kind == Kind::converged ? update_->again() : eligibility_).add_parameters(values);
    if (kind == Kind::update)
        update_->add_parameters(values);
    return values;
}

std::string LeafStatements::compose(Kind kind, bool by_blocks) const
{
    const std::string rows = by_blocks
                                 ? "target.ctid OPERATOR(pg_catalog.>=) $1 AND target.ctid OPERATOR(pg_catalog.<) $2"
                                 : "target.ctid OPERATOR(pg_catalog.=) ANY ($1)";
    const int first = by_blocks ? 3 : 2;
    const std::string eligible = concat(rows, " AND ", eligibility_.row_test(first));
    const std::string from = concat("FROM ONLY ", name_, " AS target WHERE ", eligible);
    switch (kind) {
    case Kind::remove:
        return concat("DELETE ", from, " AND ", not_referenced_);
    case Kind::update:
        return concat("UPDATE ONLY ", name_, " AS target SET ", update_->assignments(), " FROM ",
                      update_->run_row(first + eligibility_.parameter_count()), " WHERE ", eligible,
                      " RETURNING target.ctid");
    case Kind::converged:
        return concat("SELECT ", key_expression(), " FROM ONLY ", name_, " AS target WHERE ", rows, " AND ",
                      update_->again().row_test(first), " LIMIT 1");
    case Kind::lock:
        return concat("SELECT target.ctid ", from, " AND ", not_referenced_, " FOR ",
                      updates() ? "NO KEY UPDATE" : "UPDATE", " OF target SKIP LOCKED");
    case Kind::collect:
        return concat("SELECT target.ctid ", from, " AND ", not_referenced_);
    case Kind::count:
        return concat("SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE NOT (", not_referenced_, ")) ",
                      from);
    case Kind::sample:
        return concat("SELECT ", key_expression(), " ", from, " LIMIT ", sample_size);
    case Kind::sample_blocked:
        return concat("SELECT ", key_expression(), " ", from, " AND NOT (", not_referenced_, ") LIMIT ", sample_size);
    }
    return {};
}

std::string LeafStatements::key_expression() const
{
    std::string pairs;
    Relation relation = pg_call([this] { return table_open(leaf_, AccessShareLock); });
    Bitmapset* key = pg_call([&] { return RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY); });
    for (int member = -1; (member = bms_next_member(key, member)) >= 0;) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        const char* column = NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname);
        pairs.append(pairs.empty() ? "" : ", ")
            .append(concat(pg::quote_literal(column), ", target.", pg::quote_identifier(column)));
    }
    pg_call([&] { table_close(relation, AccessShareLock); });
    if (pairs.empty())
        pairs = "'ctid', target.ctid";
    return concat("pg_catalog.jsonb_build_object(", pairs, ")::pg_catalog.text");
}

const pg::Plan& LeafStatements::plan(pg::Spi& /*spi*/, Kind kind, bool by_blocks)
{
    const auto key = std::make_pair(kind, by_blocks);
    auto found = plans_.find(key);
    if (found == plans_.end()) {
        WorkUnit any = core::BlockRange{};
        if (!by_blocks)
            any = RowIds{};
        // Generic, or a custom plan would prefer the age index and read the whole table for each batch.
        pg::Plan prepared(compose(kind, by_blocks), parameters(kind, any).types(), CURSOR_OPT_GENERIC_PLAN);
        found = plans_.emplace(key, TidPlan(std::move(prepared), has_blockers() || eligibility_.keeps_newest())).first;
    }
    if (!found->second.ensure() && !std::exchange(warned_of_plan_, true))
        pg::notice(WARNING,
                   {.message = concat("pg_cleanup: batches of ", name_, " are not planned by row id, and are slow"),
                    .hint = "A function that the policy's condition calls changes settings when it is planned."});
    return found->second.plan();
}

std::string LeafStatements::blocker_names() const
{
    std::string names;
    for (const Oid table : reference_tables(rule_, leaf_, owner_))
        names.append(names.empty() ? "" : ", ").append(pg::relation_name(table));
    return names;
}

void LeafStatements::renew(ReferenceRule rule)
{
    plans_.clear();
    name_ = pg::relation_name(leaf_);
    rule_ = rule;
    not_referenced_ = reference_test(rule, leaf_, owner_);
    must_lock_first_ = rule == ReferenceRule::unreferenced || depends_on_other_rows();
}

std::int64_t LeafStatements::remove(pg::Spi& spi, const WorkUnit& unit)
{
    const bool by_blocks = std::holds_alternative<core::BlockRange>(unit);
    return static_cast<std::int64_t>(spi.execute(plan(spi, Kind::remove, by_blocks), parameters(Kind::remove, unit)));
}

RowIds LeafStatements::update(pg::Spi& spi, const WorkUnit& unit)
{
    const auto* blocks = std::get_if<core::BlockRange>(&unit);
    RowIdCollector collector(blocks != nullptr ? most_rows(*blocks) : std::get<RowIds>(unit).size());
    spi.stream(plan(spi, Kind::update, blocks != nullptr), parameters(Kind::update, unit), collector,
               pg::Access::read_write);
    return collector.take_sorted();
}

void LeafStatements::check_converged(pg::Spi& spi, const RowIds& rows)
{
    if (rows.empty())
        return;
    RowIds versions = rows;
    pg::follow_to_latest_versions(leaf_, versions);
    for (const std::string& key : keys(spi, Kind::converged, versions))
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("an updated row would be due again: ", key, " in ", name_),
                   .hint =
                       "Let set_values change what the condition tests, e.g. condition => 'payload IS NOT NULL' with "
                       "payload set to NULL; a trigger may have put it back."});
}

RowIds LeafStatements::lock(pg::Spi& spi, const WorkUnit& unit)
{
    const auto* blocks = std::get_if<core::BlockRange>(&unit);
    RowIdCollector collector(blocks != nullptr ? most_rows(*blocks) : std::get<RowIds>(unit).size());
    spi.stream(plan(spi, Kind::lock, blocks != nullptr), parameters(Kind::lock, unit), collector,
               pg::Access::read_write);
    return collector.take_sorted();
}

RowIds LeafStatements::collect(pg::Spi& spi, core::BlockRange blocks)
{
    RowIdCollector collector(most_rows(blocks));
    spi.stream(plan(spi, Kind::collect, true), parameters(Kind::collect, blocks), collector, pg::Access::read_write);
    return collector.take_sorted();
}

LeftBehind LeafStatements::count_left(pg::Spi& spi, const WorkUnit& unit)
{
    const bool by_blocks = std::holds_alternative<core::BlockRange>(unit);
    const pg::Rows rows = spi.run(plan(spi, Kind::count, by_blocks), parameters(Kind::count, unit));
    return {pg::to_int64(rows[0][0]), pg::to_int64(rows[0][1])};
}

std::vector<std::string> LeafStatements::keys(pg::Spi& spi, Kind kind, const WorkUnit& unit)
{
    std::vector<std::string> keys;
    const bool by_blocks = std::holds_alternative<core::BlockRange>(unit);
    for (const std::vector<pg::Cell>& row : spi.run(plan(spi, kind, by_blocks), parameters(kind, unit)))
        keys.push_back(pg::to_text(row[0]));
    return keys;
}

std::vector<std::string> LeafStatements::sample_blocked(pg::Spi& spi, core::BlockRange blocks)
{
    return keys(spi, Kind::sample_blocked, blocks);
}

std::vector<std::string> LeafStatements::sample_rows(pg::Spi& spi, const RowIds& rows)
{
    return keys(spi, Kind::sample, rows);
}

std::vector<Oid> leaf_tables(Oid target)
{
    if (pg_call([&] { return get_rel_relkind(target); }) != RELKIND_PARTITIONED_TABLE)
        return {target};
    List* all = pg_call([&] { return find_all_inheritors(target, AccessShareLock, nullptr); });
    std::vector<Oid> leaves;
    const ListCell* cell = nullptr;
    foreach (cell, all) {
        const Oid relation = lfirst_oid(cell);
        if (pg_call([&] { return get_rel_relkind(relation); }) == RELKIND_RELATION)
            leaves.push_back(relation);
    }
    return leaves;
}

bool is_leaf_of(Oid leaf, Oid target)
{
    return leaf == target || pg_call([&] {
               return get_rel_relispartition(leaf) && list_member_oid(get_partition_ancestors(leaf), target);
           });
}

std::uint32_t block_count(Oid leaf)
{
    return pg_call([&] {
        Relation relation = table_open(leaf, AccessShareLock);
        const BlockNumber blocks = RelationGetNumberOfBlocks(relation);
        table_close(relation, AccessShareLock);
        return blocks;
    });
}

Oid heap_file(Oid leaf)
{
    return pg_call([&] {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(leaf));
        if (!HeapTupleIsValid(tuple))
            return InvalidOid;
        const Oid file = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relfilenode;
        ReleaseSysCache(tuple);
        return file;
    });
}

} // namespace pgcleanup
