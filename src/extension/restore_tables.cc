#include "extension/restore_tables.h"

#include "extension/archives.h"
#include "extension/references.h"
#include "extension/relation.h"
#include "extension/table_facts.h"
#include "extension/target.h"
#include "pg/result_set.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

[[noreturn]] void refuse(const std::string& message, const std::string& detail, const std::string& hint, int sqlstate)
{
    pg::raise({.sqlstate = sqlstate, .message = message, .detail = detail, .hint = hint});
}

std::vector<std::string> primary_key(Oid table)
{
    std::vector<std::string> key;
    Relation relation = pg_call([&] { return table_open(table, AccessShareLock); });
    Bitmapset* members = pg_call([&] { return RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY); });
    for (int member = -1; (member = bms_next_member(members, member)) >= 0;) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        key.emplace_back(NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname));
    }
    pg_call([&] { table_close(relation, AccessShareLock); });
    return key;
}

void check_archive_is_there(const ArchiveEntry& entry, const Policy& policy)
{
    if (!OidIsValid(entry.archive))
        refuse(
            concat("archive ", entry.archive_name, " of policy \"", policy.name, "\" is not there"),
            concat("It held rows of ", entry.source_name, "."),
            "Put it back under its name. If its rows are not missed, a superuser may delete it from cleanup_archives.",
            ERRCODE_UNDEFINED_TABLE);
    pg_call([&] { LockRelationOid(entry.archive, AccessShareLock); });
    if (target_owner(entry.archive) != target_owner(policy.target))
        refuse(concat("archive ", pg::relation_name(entry.archive), " has another owner than ", policy.target_name), "",
               concat("ALTER TABLE ", pg::relation_name(entry.archive), " OWNER TO ",
                      pg::quote_identifier(pg::role_name(target_owner(policy.target))), ";"),
               ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
}

void check_source(const ArchiveEntry& entry, const Policy& policy)
{
    if (!OidIsValid(entry.source))
        refuse(concat("table ", entry.source_name, ", whose rows are in ", entry.archive_name, ", is not there"), "",
               "Make it anew, or rename the table that has taken its place.", ERRCODE_UNDEFINED_TABLE);
    pg_call([&] { LockRelationOid(entry.source, AccessShareLock); });
    if (target_owner(entry.source) != target_owner(policy.target))
        refuse(concat("table ", pg::relation_name(entry.source), " has another owner than ", policy.target_name),
               "A restore has the rights of the target's owner.", "Let one role own both.",
               ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
    const std::string why = obstacle(entry.source, entry.archive);
    if (!why.empty())
        refuse(concat("archived rows of ", pg::relation_name(entry.source), " do not fit it any more"),
               concat("They are in ", pg::relation_name(entry.archive), ", but ", why, "."),
               "Alter the archive's column so that it is as the table's.", ERRCODE_DATATYPE_MISMATCH);
}

// Rows that were archived before the archive had the column get what a new row would get. A value that is there is the
// row's, whatever the clock said when it came: clocks are set back.
std::string value_of(const TableColumn& column, const RestoreTable& table, const ArchiveEntry& entry)
{
    const auto added = std::ranges::find(entry.added_columns, column.name, &std::pair<std::string, std::string>::first);
    std::string value = concat("gone.", column.quoted);
    if (added == entry.added_columns.end())
        return value;
    return concat("CASE WHEN ", value, " IS NOT DISTINCT FROM NULL AND gone.", archived_at_column,
                  " OPERATOR(pg_catalog.<) ", pg::quote_literal(added->second), "::pg_catalog.timestamptz THEN ",
                  value_for_new_row(table.source, column), " ELSE ", value, " END");
}

RestoreTable to_table(const ArchiveEntry& entry)
{
    RestoreTable table;
    table.archive = entry.archive;
    table.source = entry.source;
    table.archive_name = pg::relation_name(entry.archive);
    table.source_name = pg::relation_name(entry.source);
    table.from_source = from_table(entry.source);
    table.key = primary_key(entry.source);
    table.columns = columns_of(entry.source);
    const std::vector<TableColumn> there = columns_of(entry.archive);
    for (const TableColumn& column : table.columns) {
        if (std::ranges::find(there, column.name, &TableColumn::name) == there.end())
            continue; // it came later, and nothing was archived since
        table.in_archive.push_back(column.name);
        if (column.generated)
            continue;
        const char* comma = table.insert_columns.empty() ? "" : ", ";
        table.insert_columns += comma + column.quoted;
        table.insert_values += comma + value_of(column, table, entry);
    }
    if (!has_all(table, table.key)) // a key that came later names no archived row
        table.key.clear();
    return table;
}

std::string text_array_literal(std::span<const std::string> names)
{
    return concat(pg::quote_literal(pg::text_array_cell(names)), "::pg_catalog.text[]");
}

// The type's own equality, so that an index on the key serves; nothing when it has none.
std::optional<std::string> equality(const TableColumn& column, std::string_view live, std::string_view alias)
{
    const std::string left = concat(live, ".", column.quoted);
    const std::string right = concat(alias, ".", column.quoted);
    const char* clause = pg_call([&]() -> const char* {
        const Oid type = getBaseType(column.type);
        const Oid op = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
        if (!OidIsValid(op))
            return nullptr;
        StringInfoData text;
        initStringInfo(&text);
        generate_operator_clause(&text, left.c_str(), column.type, op, right.c_str(), type);
        return text.data;
    });
    return clause == nullptr ? std::nullopt : std::optional<std::string>(clause);
}

std::optional<std::string> same_key(const RestoreTable& table, std::string_view live, std::string_view alias,
                                    std::span<const std::string> changed)
{
    std::string test;
    for (const std::string& name : table.key) {
        const auto column = std::ranges::find(table.columns, name, &TableColumn::name);
        if (column == table.columns.end() || std::ranges::find(changed, name) != changed.end())
            return std::nullopt;
        const std::optional<std::string> equal = equality(*column, live, alias);
        if (!equal)
            return std::nullopt;
        test.append(test.empty() ? "" : " AND ").append(*equal);
    }
    return test.empty() ? std::nullopt : std::optional(test);
}

std::vector<std::string> names_of(Oid table, const std::vector<AttrNumber>& attributes)
{
    std::vector<std::string> names;
    names.reserve(attributes.size());
    for (const AttrNumber attribute : attributes)
        names.emplace_back(pg_call([&] { return static_cast<const char*>(get_attname(table, attribute, false)); }));
    return names;
}

// A column that came later is in no archived row, and so it references nothing.
void add_edge(std::vector<RestoreEdge>& edges, std::span<const RestoreTable> tables, const ForeignKey& key,
              std::size_t child, std::size_t parent, RestoreEdge::Kind kind)
{
    std::vector<std::string> columns = names_of(key.referencing, key.referencing_attributes);
    if (has_all(tables[child], columns) && has_all(tables[parent], names_of(key.referenced, key.referenced_attributes)))
        edges.push_back({child, parent, reference_match(key, "p", "c"), kind, std::move(columns)});
}

} // namespace

bool has_all(const RestoreTable& table, std::span<const std::string> columns)
{
    return std::ranges::all_of(columns, [&](const std::string& column) {
        return std::ranges::find(table.in_archive, column) != table.in_archive.end();
    });
}

std::vector<RestoreTable> restore_tables(pg::Spi& spi, const pg::Extension& extension, const Policy& policy)
{
    std::vector<RestoreTable> tables;
    for (const ArchiveEntry& entry : archives_of_policy(spi, extension, policy.id)) {
        check_archive_is_there(entry, policy);
        // Where a table was made anew, its archive is known under both; rows go to the one that is there.
        if (std::ranges::any_of(tables, [&](const RestoreTable& known) { return known.archive == entry.archive; }))
            continue;
        check_source(entry, policy);
        tables.push_back(to_table(entry));
    }
    std::stable_partition(tables.begin(), tables.end(),
                          [&](const RestoreTable& table) { return table.source == policy.target; });
    return tables;
}

namespace {

// Indices of the tables whose rows are archived as those of `source`.
std::vector<std::size_t> tables_of(std::span<const RestoreTable> tables, Oid source)
{
    std::vector<std::size_t> found;
    for (std::size_t n = 0; n < tables.size(); ++n) {
        if (tables[n].source == source)
            found.push_back(n);
    }
    return found;
}

void add_keys(std::vector<RestoreEdge>& edges, const Policy& policy, std::span<const RestoreTable> tables,
              std::size_t parent)
{
    for (const ForeignKey& key : references_to(tables[parent].source)) {
        for (const std::size_t child : tables_of(tables, archive_source(policy, key.referencing)))
            add_edge(edges, tables, key, child, parent, RestoreEdge::Kind::key);
    }
}

void add_relation(std::vector<RestoreEdge>& edges, const Policy& policy, std::span<const RestoreTable> tables,
                  const DeclaredRelation& relation)
{
    if (!OidIsValid(relation.related))
        return;
    const ForeignKey key = relation_key(relation, policy.target);
    for (const std::size_t child : tables_of(tables, archive_source(policy, relation.related))) {
        for (const std::size_t parent : tables_of(tables, policy.target))
            add_edge(edges, tables, key, child, parent, RestoreEdge::Kind::relation);
    }
}

} // namespace

std::vector<RestoreEdge> restore_edges(const Policy& policy, std::span<const RestoreTable> tables)
{
    std::vector<RestoreEdge> edges;
    for (std::size_t parent = 0; parent < tables.size(); ++parent)
        add_keys(edges, policy, tables, parent);
    for (std::size_t table = 0; table < tables.size(); ++table) {
        if (const std::optional<std::string> same = same_key(tables[table], "p", "c", {}))
            edges.push_back({table, table, *same, RestoreEdge::Kind::image, {}});
    }
    for (const DeclaredRelation& relation : relations_of(policy))
        add_relation(edges, policy, tables, relation);
    return edges;
}

std::string archived_key(const RestoreTable& table, std::string_view alias)
{
    if (table.key.empty())
        return concat("pg_catalog.to_jsonb(", alias, ".*) OPERATOR(pg_catalog.-) '{", run_id_column, ",",
                      policy_id_column, ",", archived_at_column, ",", changed_column, "}'::pg_catalog.text[]");
    std::string pairs;
    for (const std::string& column : table.key)
        pairs.append(pairs.empty() ? "" : ", ")
            .append(concat(pg::quote_literal(column), ", ", alias, ".", pg::quote_identifier(column)));
    return concat("pg_catalog.jsonb_build_object(", pairs, ")");
}

namespace {

std::string still_as_set(std::span<const std::string> changed)
{
    std::string test;
    for (const std::string& name : changed)
        test.append(concat(" AND pg_catalog.to_jsonb(live.", pg::quote_identifier(name),
                           ") IS NOT DISTINCT FROM NULLIF(image.", changed_column, " OPERATOR(pg_catalog.->) ",
                           pg::quote_literal(name), ", 'null'::pg_catalog.jsonb)"));
    return test;
}

// Without a key: all that both have, as jsonb, and what the changed columns were set to. Rows that are alike are told
// apart by number alone, so that as many of them change as there are images.
std::string pairs_of_whole_rows(const RestoreTable& table)
{
    std::vector<std::string> not_live{run_id_column, policy_id_column, archived_at_column, changed_column};
    std::vector<std::string> not_archived;
    for (const TableColumn& column : table.columns) {
        if (column.generated) // perhaps from what was changed
            not_live.push_back(column.name);
        if (column.generated || std::ranges::find(table.in_archive, column.name) == table.in_archive.end())
            not_archived.push_back(column.name);
    }
    for (const TableColumn& column : columns_of(table.archive)) {
        if (std::ranges::find(table.columns, column.name, &TableColumn::name) == table.columns.end())
            not_live.push_back(column.name);
    }
    const auto numbered = [](const std::string& what) {
        return concat("SELECT *, pg_catalog.row_number() OVER (PARTITION BY content ORDER BY tid) AS n FROM (", what,
                      ") AS one");
    };
    return concat("(SELECT image.tid AS image, live.tab, live.tid FROM (",
                  numbered(concat("SELECT i.ctid AS tid, (pg_catalog.to_jsonb(i.*) OPERATOR(pg_catalog.-) ",
                                  text_array_literal(not_live), ") OPERATOR(pg_catalog.||) i.", changed_column,
                                  " AS content FROM ONLY ", table.archive_name,
                                  " AS i WHERE i.ctid OPERATOR(pg_catalog.=) ANY ($1)")),
                  ") AS image JOIN (",
                  numbered(concat("SELECT l.tableoid AS tab, l.ctid AS tid, pg_catalog.to_jsonb(l.*) "
                                  "OPERATOR(pg_catalog.-) ",
                                  text_array_literal(not_archived), " AS content FROM ", table.from_source, " AS l")),
                  ") AS live ON live.content OPERATOR(pg_catalog.=) image.content AND live.n "
                  "OPERATOR(pg_catalog.=) image.n) AS pair");
}

} // namespace

std::string image_pairs(const RestoreTable& table, std::span<const std::string> changed)
{
    const std::optional<std::string> by_key = same_key(table, "live", "image", changed);
    if (!by_key)
        return pairs_of_whole_rows(table);
    return concat("(SELECT DISTINCT ON (live.tableoid, live.ctid) image.ctid AS image, live.tableoid AS tab, "
                  "live.ctid AS tid FROM ONLY ",
                  table.archive_name, " AS image JOIN ", table.from_source, " AS live ON ", *by_key,
                  still_as_set(changed), " WHERE image.ctid OPERATOR(pg_catalog.=) ANY ($1)) AS pair");
}

} // namespace pgcleanup
