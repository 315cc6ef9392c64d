#include "extension/restore_rows.h"

#include "pg/result_set.h"
#include "pg/settings_scope.h"
#include "pg/text.h"

#include <map>
#include <unordered_map>

namespace pgcleanup {

using pg::concat;
using pg::Parameters;
using pg::pg_call;

namespace {

// Table and row id in one number.
std::uint64_t identity(std::size_t table, const ItemPointerData& row)
{
    return static_cast<std::uint64_t>(table) << 48 | static_cast<std::uint64_t>(ItemPointerGetBlockNumber(&row)) << 16 |
           ItemPointerGetOffsetNumber(&row);
}

ItemPointerData row_id_of(const std::string& text)
{
    return *reinterpret_cast<ItemPointer>(DatumGetPointer(pg::input_value(text, TIDOID)));
}

ItemPointerData at(BlockNumber block)
{
    ItemPointerData id;
    ItemPointerSet(&id, block, 0);
    return id;
}

std::map<std::size_t, RowIds> by_table(std::span<const ArchivedRow> rows)
{
    std::map<std::size_t, RowIds> tables;
    for (const ArchivedRow& row : rows)
        tables[row.table].push_back(row.row);
    for (auto& [table, ids] : tables)
        std::sort(ids.begin(), ids.end(), row_id_less);
    return tables;
}

Parameters row_ids(const RowIds& ids)
{
    return std::move(Parameters().value(TIDARRAYOID, row_id_array(ids)));
}

// Two row ids of each row, and whether the second is an image's. Memory is short when it is, not when it grows.
class PairCollector : public pg::RowReceiver {
public:
    struct Pair {
        ItemPointerData parent;
        ItemPointerData child;
        bool child_is_image;
    };
    bool pg_row(TupleTableSlot* slot) override
    {
        slot_getallattrs(slot);
        try {
            pairs.push_back({*reinterpret_cast<ItemPointer>(DatumGetPointer(slot->tts_values[0])),
                             *reinterpret_cast<ItemPointer>(DatumGetPointer(slot->tts_values[1])),
                             DatumGetBool(slot->tts_values[2])});
            return true;
        } catch (const std::bad_alloc&) {
            out_of_memory = true;
            return false;
        }
    }
    std::vector<Pair> pairs;
    bool out_of_memory = false;
};

} // namespace

std::string in_scope(const RestoreScope& scope, std::string_view alias)
{
    return concat(alias, ".", run_id_column, " OPERATOR(pg_catalog.=) '", scope.run_id, "'::pg_catalog.int8 AND ",
                  alias, ".", policy_id_column, " OPERATOR(pg_catalog.=) '", scope.policy_id, "'::pg_catalog.int8");
}

bool has_images(pg::Spi& spi, const RestoreTable& table, const RestoreScope& scope)
{
    return !spi.run(concat("SELECT FROM ONLY ", table.archive_name, " AS image WHERE image.", changed_column,
                           " IS NOT NULL AND ", in_scope(scope, "image"), " LIMIT 1"))
                .empty();
}

void RestoreRows::lock() const
{
    for (const RestoreTable& table : tables_) {
        pg_call([oid = table.source] { LockRelationOid(oid, RowExclusiveLock); });
        pg_call([oid = table.archive] { LockRelationOid(oid, ShareRowExclusiveLock); });
    }
}

// `rows`: which, over the alias target.
std::vector<ArchivedRow> RestoreRows::read(pg::Spi& spi, std::size_t table, const std::string& rows,
                                           const Parameters& parameters) const
{
    const std::string condition = tables_[table].source == tables_.front().source ? scope_.condition : "true";
    std::vector<ArchivedRow> found;
    for (const auto& row :
         spi.run(concat("SELECT target.ctid, target.", changed_column, " IS NOT NULL FROM ONLY ",
                        tables_[table].archive_name, " AS target WHERE ", rows, " AND ", in_scope("target"),
                        " AND (target.", changed_column, " IS NOT NULL OR (", condition, ") IS TRUE)"),
                 parameters))
        found.push_back({table, row_id_of(pg::to_text(row[0])), pg::to_bool(row[1])});
    return found;
}

std::vector<ArchivedRow> RestoreRows::seeds(pg::Spi& spi, std::size_t table, core::BlockRange blocks) const
{
    ItemPointerData begin = at(blocks.begin);
    ItemPointerData end = at(blocks.end);
    Parameters bounds;
    bounds.value(TIDOID, PointerGetDatum(&begin)).value(TIDOID, PointerGetDatum(&end));
    return read(spi, table, "target.ctid OPERATOR(pg_catalog.>=) $1 AND target.ctid OPERATOR(pg_catalog.<) $2", bounds);
}

// Finds what belongs together, step by step.
class ArchiveGathering {
public:
    ArchiveGathering(const RestoreRows& rows, pg::Spi& spi) : rows_(rows), spi_(spi) {}

    ArchivedFamily run(const std::vector<ArchivedRow>& seeds)
    {
        for (const ArchivedRow& seed : seeds)
            add(seed);
        while (!next_.empty())
            step();
        return std::move(family_);
    }

private:
    using Frontier = std::map<std::size_t, RowIds>; // by table

    std::size_t add(const ArchivedRow& row)
    {
        const auto [found, is_new] = known_.emplace(identity(row.table, row.row), family_.rows.size());
        if (is_new)
            family_.rows.push_back(row);
        ArchivedRow& known = family_.rows[found->second];
        const bool is_wanted_now = row.is_wanted && !known.is_wanted;
        known.is_wanted = known.is_wanted || row.is_wanted;
        if ((is_new || is_wanted_now) && known.in_scope)
            next_.push_back(found->second);
        return found->second;
    }

    bool knows(std::size_t table, const ItemPointerData& row) const { return known_.contains(identity(table, row)); }

    void step()
    {
        Frontier all;
        Frontier wanted;
        for (const std::size_t node : std::exchange(next_, {})) {
            const ArchivedRow& row = family_.rows[node];
            all[row.table].push_back(row.row);
            if (row.is_wanted)
                wanted[row.table].push_back(row.row);
        }
        for (const RestoreEdge& edge : rows_.edges_) {
            if (const auto parents = wanted.find(edge.parent); parents != wanted.end())
                follow(edge, true, parents->second);
            if (const auto children = all.find(edge.child); children != all.end())
                follow(edge, false, children->second);
        }
    }

    static std::string test_of_child(const RestoreEdge& edge)
    {
        if (edge.kind == RestoreEdge::Kind::image)
            return concat("c.", changed_column, " IS NOT NULL");
        if (edge.kind == RestoreEdge::Kind::relation)
            return concat("c.", changed_column, " IS NULL");
        return concat("(c.", changed_column, " IS NULL OR c.", changed_column, " OPERATOR(pg_catalog.?|) ",
                      pg::quote_literal(pg::text_array_cell(edge.columns)), "::pg_catalog.text[])");
    }

    std::vector<PairCollector::Pair> pairs(const RestoreEdge& edge, bool from_parent, const RowIds& ids) const
    {
        PairCollector collector;
        const Parameters parameters = row_ids(ids);
        const std::string concerns = test_of_child(edge);
        // An archive that nobody has analyzed seems to have hardly a row of this run: a nested loop would look cheap,
        // and read all of it once for every row.
        const pg::SettingsScope settings;
        settings.set("enable_nestloop", "off");
        const pg::Plan plan(concat("SELECT p.ctid, c.ctid, c.", changed_column, " IS NOT NULL FROM ONLY ",
                                   rows_.tables_[edge.parent].archive_name, " AS p JOIN ONLY ",
                                   rows_.tables_[edge.child].archive_name, " AS c ON ", edge.match, " WHERE ",
                                   from_parent ? "p" : "c", ".ctid OPERATOR(pg_catalog.=) ANY ($1) AND p.",
                                   changed_column, " IS NULL AND ", concerns, " AND ", rows_.in_scope("p"), " AND ",
                                   rows_.in_scope("c")),
                            parameters.types());
        spi_.stream(plan, parameters, collector, pg::Access::read_write);
        if (collector.out_of_memory)
            throw std::bad_alloc();
        return std::move(collector.pairs);
    }

    // Rows of the target that the condition does not choose are known from here on as what stays.
    void learn(std::size_t table, bool is_wanted, const RowIds& ids)
    {
        if (ids.empty())
            return;
        for (ArchivedRow row : rows_.read(spi_, table, "target.ctid OPERATOR(pg_catalog.=) ANY ($1)", row_ids(ids))) {
            row.is_wanted = is_wanted;
            add(row);
        }
        for (const ItemPointerData& id : ids) {
            if (!knows(table, id))
                add({table, id, false, false, false});
        }
    }

    void follow(const RestoreEdge& edge, bool from_parent, const RowIds& ids)
    {
        const std::vector<PairCollector::Pair> found = pairs(edge, from_parent, ids);
        const std::size_t other = from_parent ? edge.child : edge.parent;
        // What a chosen row takes along is chosen with it; what it needs is not, or all that needs that would be, too.
        const bool is_wanted = from_parent || !rows_.chooses();
        RowIds unknown;
        for (const PairCollector::Pair& pair : found) {
            const ItemPointerData& row = from_parent ? pair.child : pair.parent;
            if (!knows(other, row))
                unknown.push_back(row);
            else if (is_wanted)
                add({other, row, from_parent && pair.child_is_image});
        }
        learn(other, is_wanted, unknown);
        for (const PairCollector::Pair& pair : found) {
            const std::size_t child = known_.at(identity(edge.child, pair.child));
            const std::size_t parent = known_.at(identity(edge.parent, pair.parent));
            if (child != parent && edge.kind != RestoreEdge::Kind::relation)
                family_.needs.emplace_back(child, parent);
        }
    }

    const RestoreRows& rows_;
    pg::Spi& spi_;
    ArchivedFamily family_;
    std::unordered_map<std::uint64_t, std::size_t> known_;
    std::vector<std::size_t> next_;
};

ArchivedFamily RestoreRows::gather(pg::Spi& spi, const std::vector<ArchivedRow>& seeds) const
{
    return ArchiveGathering(*this, spi).run(seeds);
}

void RestoreRows::put_back(pg::Spi& spi, std::span<const ArchivedRow> rows) const
{
    const auto tables = by_table(rows);
    std::string parts;
    std::string counts;
    Parameters parameters;
    std::size_t n = 0;
    for (const auto& [index, ids] : tables) {
        const RestoreTable& table = tables_[index];
        ++n;
        parameters.append(row_ids(ids));
        const std::string insert =
            table.insert_columns.empty()
                ? concat("INSERT INTO ", table.source_name, " SELECT FROM pg_cleanup_gone_", n, " AS gone")
                : concat("INSERT INTO ", table.source_name, " (", table.insert_columns,
                         ") OVERRIDING SYSTEM VALUE SELECT ", table.insert_values, " FROM pg_cleanup_gone_", n,
                         " AS gone");
        parts.append(parts.empty() ? "WITH " : ", ")
            .append(concat("pg_cleanup_gone_", n, " AS (DELETE FROM ONLY ", table.archive_name,
                           " AS gone WHERE gone.ctid OPERATOR(pg_catalog.=) ANY ($", n, ") AND gone.", changed_column,
                           " IS NULL RETURNING gone.*), pg_cleanup_back_", n, " AS (", insert, " RETURNING 1)"));
        counts.append(counts.empty() ? "" : ", ")
            .append(concat("(SELECT pg_catalog.count(*) FROM pg_cleanup_gone_", n,
                           "), (SELECT pg_catalog.count(*) FROM pg_cleanup_back_", n, ")"));
    }
    const pg::Rows counted = spi.run(concat(parts, " SELECT ", counts), parameters);
    n = 0;
    for (const auto& [index, ids] : tables) {
        const std::int64_t gone = pg::to_int64(counted[0][2 * n]);
        const std::int64_t back = pg::to_int64(counted[0][2 * n + 1]);
        ++n;
        if (gone != static_cast<std::int64_t>(ids.size()) || back != gone)
            pg::raise({.sqlstate = ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION,
                       .message = back < gone ? concat("a trigger keeps rows out of ", tables_[index].source_name)
                                              : concat("a trigger keeps rows in ", tables_[index].archive_name)});
    }
}

void RestoreRows::reset_group(pg::Spi& spi, std::size_t index, std::span<const std::string> columns,
                              const RowIds& images, std::vector<ArchivedRow>& done) const
{
    const RestoreTable& table = tables_[index];
    std::string set;
    for (const std::string& name : columns) {
        const std::string column = pg::quote_identifier(name);
        set.append(set.empty() ? "" : ", ").append(concat(column, " = image.", column));
    }
    const pg::Rows rows =
        spi.run(concat("WITH pg_cleanup_set AS (UPDATE ", table.from_source, " AS live SET ", set, " FROM ",
                       image_pairs(table, columns), " JOIN ONLY ", table.archive_name,
                       " AS image ON image.ctid OPERATOR(pg_catalog.=) pair.image WHERE live.ctid "
                       "OPERATOR(pg_catalog.=) pair.tid AND live.tableoid OPERATOR(pg_catalog.=) pair.tab "
                       "RETURNING image.ctid) DELETE FROM ONLY ",
                       table.archive_name,
                       " AS gone WHERE gone.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT s.ctid FROM pg_cleanup_set "
                       "AS s)) RETURNING gone.ctid"),
                row_ids(images));
    for (const auto& row : rows)
        done.push_back({index, row_id_of(pg::to_text(row[0])), true});
}

std::vector<ArchivedRow> RestoreRows::reset_references(pg::Spi& spi, std::span<const ArchivedRow> images) const
{
    std::vector<ArchivedRow> done;
    for (const auto& [index, ids] : by_table(images)) {
        std::map<std::string, RowIds> groups; // by the columns that were changed
        for (const auto& row :
             spi.run(concat("SELECT image.ctid, (SELECT pg_catalog.array_agg(k ORDER BY k)::pg_catalog.text FROM "
                            "pg_catalog.jsonb_object_keys(image.",
                            changed_column, ") AS k) FROM ONLY ", tables_[index].archive_name,
                            " AS image WHERE image.ctid OPERATOR(pg_catalog.=) ANY ($1)"),
                     row_ids(ids)))
            groups[pg::to_text(row[1])].push_back(row_id_of(pg::to_text(row[0])));
        for (const auto& [names, members] : groups) {
            const std::vector<std::string> columns = pg::text_array(pg::Cell(names));
            if (has_all(tables_[index], columns)) // else one was dropped or renamed since
                reset_group(spi, index, columns, members, done);
        }
    }
    return done;
}

std::string RestoreRows::key(pg::Spi& spi, const ArchivedRow& row) const
{
    const pg::Rows rows =
        spi.run(concat("SELECT ", archived_key(tables_[row.table], "a"), " FROM ONLY ", tables_[row.table].archive_name,
                       " AS a WHERE a.ctid OPERATOR(pg_catalog.=) ANY ($1)"),
                row_ids({row.row}));
    return rows.empty() ? "null" : pg::to_text(rows[0][0]);
}

} // namespace pgcleanup
