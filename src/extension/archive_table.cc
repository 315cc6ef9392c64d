#include "extension/archive_table.h"

#include "pg/identity.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

struct OwnColumn {
    const char* name;
    Oid type;
    const char* type_text;
};
constexpr auto own_columns = std::to_array<OwnColumn>({
    {run_id_column, INT8OID, "pg_catalog.int8"},
    {policy_id_column, INT8OID, "pg_catalog.int8"},
    {archived_at_column, TIMESTAMPTZOID, "pg_catalog.timestamptz"},
    {changed_column, JSONBOID, "pg_catalog.jsonb"},
});

const TableColumn* find(std::span<const TableColumn> columns, std::string_view name)
{
    const auto found = std::ranges::find(columns, name, &TableColumn::name);
    return found == columns.end() ? nullptr : &*found;
}

TableColumn without_domain(TableColumn column)
{
    column.type = pg_call([&] { return getBaseTypeAndTypmod(column.type, &column.modifier); });
    return column;
}

std::string definition(const TableColumn& of_source)
{
    const TableColumn column = without_domain(of_source);
    std::string text = concat(column.quoted, " ", type_text(column));
    if (!OidIsValid(column.collation))
        return text;
    return pg_call([&] {
        HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(column.collation));
        if (!HeapTupleIsValid(tuple))
            elog(ERROR, "cache lookup failed for collation %u", column.collation);
        auto* form = reinterpret_cast<Form_pg_collation>(GETSTRUCT(tuple));
        const char* name = quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname));
        const char* whole = psprintf("%s COLLATE %s", text.c_str(), name);
        ReleaseSysCache(tuple);
        return whole;
    });
}

// Default privileges (ALTER DEFAULT PRIVILEGES) would open the archive to others.
void revoke_from_others(pg::Spi& spi, Oid table, const std::string& name)
{
    const pg::Rows grantees =
        spi.run("SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END "
                "FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a "
                "LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee "
                "WHERE c.oid OPERATOR(pg_catalog.=) $1 AND a.grantee OPERATOR(pg_catalog.<>) c.relowner",
                pg::Parameters().oid(table));
    for (const auto& row : grantees)
        spi.run(concat("REVOKE ALL ON TABLE ", name, " FROM ", pg::to_text(row[0])));
}

} // namespace

std::vector<TableColumn> columns_of(Oid table)
{
    Relation relation = pg_call([&] { return table_open(table, AccessShareLock); });
    TupleDesc descriptor = RelationGetDescr(relation);
    std::vector<TableColumn> columns;
    for (int i = 0; i < descriptor->natts; ++i) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        if (attribute->attisdropped)
            continue;
        TableColumn column;
        column.name = NameStr(attribute->attname);
        column.quoted = pg::quote_identifier(column.name);
        column.type = attribute->atttypid;
        column.modifier = attribute->atttypmod;
        column.collation = attribute->attcollation;
        column.generated = attribute->attgenerated != '\0';
        column.has_default = attribute->atthasdef && !column.generated;
        column.identity = attribute->attidentity != '\0';
        column.number = attribute->attnum;
        columns.push_back(std::move(column));
    }
    pg_call([&] { table_close(relation, AccessShareLock); });
    return columns;
}

std::string type_text(const TableColumn& column)
{
    return pg_call([&] {
        return static_cast<const char*>(
            format_type_extended(column.type, column.modifier, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
    });
}

std::string column_list(std::span<const TableColumn> columns, std::string_view prefix)
{
    std::string list;
    for (const TableColumn& column : columns)
        list.append(list.empty() ? "" : ", ").append(prefix).append(column.quoted);
    return list;
}

std::string default_value(Oid table, const TableColumn& column)
{
    if (!column.has_default)
        return "NULL";
    pg::Spi spi;
    const pg::Rows rows = spi.run("SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef AS d "
                                  "WHERE d.adrelid OPERATOR(pg_catalog.=) $1 AND d.adnum OPERATOR(pg_catalog.=) $2",
                                  pg::Parameters().oid(table).int4(column.number));
    return rows.empty() ? "NULL" : concat("(", pg::to_text(rows[0][0]), ")::", type_text(column));
}

std::string value_for_new_row(Oid table, const TableColumn& column)
{
    if (!column.identity)
        return default_value(table, column);
    pg::Spi spi;
    const pg::Rows rows =
        spi.run("SELECT pg_catalog.quote_literal(pg_catalog.pg_get_serial_sequence($1::pg_catalog.regclass::pg_catalog."
                "text, $2))",
                pg::Parameters().oid(table).text(column.name));
    return concat("pg_catalog.nextval(", pg::to_text(rows[0][0]), "::pg_catalog.regclass)::", type_text(column));
}

namespace {

bool is_own(std::string_view name)
{
    return std::ranges::any_of(own_columns, [&](const OwnColumn& own) { return name == own.name; });
}

// Those of `list` that are in `filter` as well, in their order, up to the column `end`.
std::vector<std::string> common_columns(std::span<const TableColumn> list, std::span<const TableColumn> filter,
                                        std::string_view end = "")
{
    std::vector<std::string> names;
    for (const TableColumn& column : list) {
        if (column.name == end)
            break;
        if (!is_own(column.name) && find(filter, column.name) != nullptr)
            names.push_back(column.name);
    }
    return names;
}

// The archive's columns that `wanted`, which the archive lacks, may have been called when rows were archived, for
// people. An archive that keeps its source's order has a column that got another name behind the same ones. The type
// proves nothing: it may have been changed along with the name.
std::string former_columns(const TableColumn& wanted, std::span<const TableColumn> of_source,
                           std::span<const TableColumn> there)
{
    const bool has_order = common_columns(of_source, there) == common_columns(there, of_source);
    const std::vector<std::string> before = common_columns(of_source, there, wanted.name);
    std::string names;
    for (const TableColumn& column : there) {
        if (!is_own(column.name) && find(of_source, column.name) == nullptr &&
            (!has_order || common_columns(there, of_source, column.name) == before))
            names.append(names.empty() ? "" : ", ").append(concat("\"", column.name, "\""));
    }
    return names;
}

} // namespace

void check_archivable(Oid source)
{
    const std::vector<TableColumn> columns = columns_of(source);
    for (const OwnColumn& own : own_columns) {
        if (find(columns, own.name) != nullptr)
            pg::raise({.sqlstate = ERRCODE_DUPLICATE_COLUMN,
                       .message = concat("rows of ", pg::relation_name(source),
                                         " cannot be archived: it has a column \"", own.name, "\""),
                       .detail = "An archive table has a column of that name for pg_cleanup itself.",
                       .hint = "Rename the column, or use another action."});
    }
}

std::string obstacle(Oid source, Oid archive)
{
    const std::vector<TableColumn> there = columns_of(archive);
    for (const OwnColumn& own : own_columns) {
        const TableColumn* column = find(there, own.name);
        if (column == nullptr)
            return concat("it has no column \"", own.name, "\"");
        if (column->type != own.type)
            return concat("its column \"", own.name, "\" is not of type ", own.type_text);
    }
    const std::vector<TableColumn> columns = columns_of(source);
    for (const TableColumn& of_source : columns) {
        const TableColumn wanted = without_domain(of_source);
        const TableColumn* column = find(there, wanted.name);
        if (column == nullptr) {
            // To take a renamed column for one that was dropped and another that was added would lose its values.
            const std::string former = former_columns(of_source, columns, there);
            if (!former.empty())
                return concat("it has no column \"", wanted.name, "\", but ", former,
                              ", which the table has not: if that was renamed, rename it here as well; if it was "
                              "dropped, drop it here as well");
            continue;
        }
        if (column->generated)
            return concat("its column \"", wanted.name, "\" is generated");
        if (column->type != wanted.type || column->modifier != wanted.modifier || column->collation != wanted.collation)
            return concat("its column \"", wanted.name, "\" is of type ", type_text(*column), ", and that of ",
                          pg::relation_name(source), " is ", type_text(wanted));
    }
    return "";
}

Oid create_archive(pg::Spi& spi, Oid source, const std::string& schema, const std::string& table)
{
    std::string columns;
    for (const TableColumn& column : columns_of(source))
        columns += definition(column) + ", ";
    for (const OwnColumn& own : own_columns)
        columns += concat(columns.empty() || columns.ends_with(", ") ? "" : ", ", own.name, " ", own.type_text);
    const std::string name = pg::quote_qualified(schema, table);
    spi.run(concat("CREATE TABLE ", name, " (", columns, ") USING heap"));
    const Oid archive =
        pg_call([&] { return get_relname_relid(table.c_str(), get_namespace_oid(schema.c_str(), false)); });
    revoke_from_others(spi, archive, name);
    const std::string comment = concat("Rows of ", pg::relation_name(source), " that pg_cleanup archived");
    spi.run(concat("COMMENT ON TABLE ", name, " IS ", pg::quote_literal(comment)));
    return archive;
}

std::vector<std::string> extend_archive(pg::Spi& spi, Oid source, Oid archive)
{
    const std::vector<TableColumn> there = columns_of(archive);
    std::vector<std::string> added;
    std::string changes;
    for (const TableColumn& column : columns_of(source)) {
        if (find(there, column.name) != nullptr)
            continue;
        changes.append(changes.empty() ? "" : ", ").append(concat("ADD COLUMN ", definition(column)));
        added.push_back(column.name);
    }
    if (!added.empty())
        spi.run(concat("ALTER TABLE ", pg::relation_name(archive), " ", changes));
    return added;
}

} // namespace pgcleanup
