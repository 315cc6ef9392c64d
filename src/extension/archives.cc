#include "extension/archives.h"

#include "extension/age.h"
#include "extension/cascade.h"
#include "extension/leaf_statements.h"
#include "extension/relation.h"
#include "extension/table_facts.h"
#include "extension/target.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

constexpr std::string_view suffix = "_archive";
constexpr const char* name_another = "Name another table with archive_to, or rename that one.";

std::string schema_of(Oid table)
{
    return pg_call([&] { return static_cast<const char*>(get_namespace_name(get_rel_namespace(table))); });
}

std::string name_of(Oid table)
{
    const char* name = pg_call([&] { return static_cast<const char*>(get_rel_name(table)); });
    if (name == nullptr)
        pg::raise(
            {.sqlstate = ERRCODE_UNDEFINED_TABLE, .message = concat("relation with OID ", table, " does not exist")});
    return name;
}

// As CREATE TABLE would take it, with room for the suffix.
std::string with_suffix(const std::string& name)
{
    const int room = NAMEDATALEN - 1 - static_cast<int>(suffix.size());
    const int length = pg_call([&] { return pg_mbcliplen(name.c_str(), static_cast<int>(name.size()), room); });
    return concat(name.substr(0, static_cast<std::size_t>(length)), suffix);
}

struct QualifiedName {
    std::optional<std::string> schema;
    std::string table;
};

[[noreturn]] void raise_no_name(const std::string& text)
{
    pg::raise({.sqlstate = ERRCODE_INVALID_NAME,
               .message = concat("archive_to '", text, "' is no name of a table"),
               .hint = "Write schema.table, or the table alone for the schema of the target."});
}

List* name_parts(const std::string& text)
{
    try {
        return pg_call([&] { return textToQualifiedNameList(cstring_to_text(text.c_str())); });
    } catch (const pg::PgError& error) {
        if (error.sqlstate() != ERRCODE_INVALID_NAME)
            throw;
    }
    raise_no_name(text);
}

QualifiedName parse_name(const std::string& text)
{
    List* parts = name_parts(text);
    const auto part = [&](int n) { return std::string(strVal(list_nth(parts, n))); };
    if (list_length(parts) == 1)
        return {std::nullopt, part(0)};
    if (list_length(parts) == 2)
        return {part(0), part(1)};
    raise_no_name(text);
}

Oid find_table(const std::string& schema, const std::string& table)
{
    return pg_call([&] {
        const Oid found = get_namespace_oid(schema.c_str(), true);
        return OidIsValid(found) ? get_relname_relid(table.c_str(), found) : InvalidOid;
    });
}

[[noreturn]] void raise_not_an_archive(Oid table, Oid source, const std::string& why)
{
    pg::raise({.sqlstate = ERRCODE_DUPLICATE_TABLE,
               .message = concat("table ", pg::relation_name(table), " exists, and is no archive of ",
                                 pg::relation_name(source), " that pg_cleanup made"),
               .detail = why,
               .hint = name_another});
}

void check_is_plain_table(Oid table, Oid source)
{
    const char kind = pg_call([&] { return get_rel_relkind(table); });
    const char persistence = pg_call([&] { return get_rel_persistence(table); });
    if (kind != RELKIND_RELATION || persistence == RELPERSISTENCE_TEMP)
        raise_not_an_archive(table, source, "It is no plain table.");
}

[[noreturn]] void raise_no_fit(Oid archive, Oid source, const std::string& why)
{
    pg::raise(
        {.sqlstate = ERRCODE_DATATYPE_MISMATCH,
         .message = concat("table ", pg::relation_name(archive), " cannot take in rows of ", pg::relation_name(source)),
         .detail = concat("It is their archive, but ", why, "."),
         .hint = "Alter the archive's column, or name another archive with archive_to."});
}

// An archive of a table that is gone, e.g. one that was made anew, may go on as the archive of its successor.
bool is_archive_of(std::span<const ArchiveEntry> entries, Oid source)
{
    return std::ranges::any_of(
        entries, [&](const ArchiveEntry& entry) { return entry.source == source || !OidIsValid(entry.source); });
}

bool belongs_to_others(const ForeignKey& key, Oid owner)
{
    return key.referencing_owner != owner ||
           std::ranges::any_of(leaves_of(key.referencing), [&](Oid leaf) { return target_owner(leaf) != owner; });
}

std::vector<Oid> changing_tables(const Cascade& cascade)
{
    std::vector<Oid> tables;
    for (const CascadeTable& table : cascade.tables) {
        for (const ForeignKey& key : table.keys) {
            if (!key.blocks())
                tables.push_back(key.referencing);
        }
    }
    return tables;
}

} // namespace

void check_archive_options(const Policy& policy)
{
    if (policy.archive_retain) {
        check_retain(*policy.archive_retain, "archive_retain");
        if (pg::to_bool(pg::Spi().run("SELECT $1::pg_catalog.interval OPERATOR(pg_catalog.<=) '0'",
                                      pg::Parameters().text(*policy.archive_retain))[0][0]))
            pg::raise(
                {.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                 .message = concat("archive_retain '", *policy.archive_retain, "' would keep nothing"),
                 .hint = "To keep archived rows for ever, set it to NULL; to keep none, use the action 'delete'."});
    }
    if (!policy.archive_to)
        return;
    if (policy.action != "archive")
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("archive_to means nothing with action '", policy.action, "'"),
                   .hint =
                       "Nothing is archived: say action => 'archive', or leave archive_to out; cleanup_alter_policy "
                       "clears it with clear => '{archive_to}'."});
    const QualifiedName name = parse_name(*policy.archive_to);
    if (name.table.size() >= NAMEDATALEN || name.schema.value_or("").size() >= NAMEDATALEN)
        pg::raise({.sqlstate = ERRCODE_NAME_TOO_LONG,
                   .message = concat("a name in archive_to '", *policy.archive_to, "' is too long")});
}

Oid archive_source(const Policy& policy, Oid table)
{
    if (table == policy.target)
        return table;
    return is_leaf_of(table, policy.target) ? policy.target : topmost_table(table);
}

std::string unarchivable_dependents(const Policy& policy, Oid owner)
{
    std::vector<Oid> starts{policy.target};
    for (const DeclaredRelation& relation : relations_of(policy)) {
        if (OidIsValid(relation.related))
            starts.push_back(relation.related);
    }
    std::string text;
    for (const Oid start : starts) {
        for (const CascadeTable& table : cascade_from(start, std::nullopt).tables) {
            for (const ForeignKey& key : table.keys) {
                if (!key.blocks() && belongs_to_others(key, owner))
                    text.append(text.empty() ? "" : ", ").append(concat(key.referencing_name, " (", key.name, ")"));
            }
        }
    }
    return text;
}

Archives::Place Archives::place_of(pg::Spi& spi, Oid source) const
{
    const bool is_target = source == policy_.target;
    std::string schema = schema_of(policy_.target);
    if (policy_.archive_to) {
        const QualifiedName name = parse_name(*policy_.archive_to);
        schema = name.schema.value_or(schema);
        if (is_target)
            return {schema, name.table, false};
    }
    // The archive of old stays the archive under whatever name the table has now.
    for (const ArchiveEntry& entry : archives_of_source(spi, pg::extension(), source)) {
        if (entry.named_by_us && OidIsValid(entry.archive) &&
            ((is_target && entry.policy_id == policy_.id) || schema_of(entry.archive) == schema))
            return {schema_of(entry.archive), name_of(entry.archive), true};
    }
    const std::string name = name_of(source);
    Place place{schema, with_suffix(name), true};
    // Tables of several schemas may share a name, and long names their beginning.
    const auto is_taken = [&] {
        const Oid taken = is_target ? InvalidOid : find_table(place.schema, place.table);
        const std::vector<ArchiveEntry> entries =
            OidIsValid(taken) ? archives_in(spi, pg::extension(), taken) : std::vector<ArchiveEntry>();
        return !entries.empty() && !is_archive_of(entries, source);
    };
    if (is_taken())
        place.table = with_suffix(concat(schema_of(source), "_", name));
    for (int n = 2; is_taken(); ++n)
        place.table = with_suffix(concat("_", n, "_", name));
    return place;
}

Oid Archives::existing(pg::Spi& spi, Oid source, const Place& place) const
{
    const Oid archive = find_table(place.schema, place.table);
    if (!OidIsValid(archive))
        return InvalidOid;
    pg_call([&] { LockRelationOid(archive, AccessShareLock); });
    if (archive == source)
        raise_not_an_archive(archive, source, "It is the table itself.");
    const std::vector<ArchiveEntry> entries = archives_in(spi, pg::extension(), archive);
    if (!is_archive_of(entries, source))
        raise_not_an_archive(archive, source,
                             entries.empty() ? "" : concat("It is the archive of ", entries.front().source_name, "."));
    check_is_plain_table(archive, source);
    if (target_owner(archive) != owner_)
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("archive ", pg::relation_name(archive), " has another owner than ",
                                     pg::relation_name(source)),
                   .hint = concat("ALTER TABLE ", pg::relation_name(archive), " OWNER TO ",
                                  pg::quote_identifier(pg::role_name(owner_)), ";")});
    const std::string why = obstacle(source, archive);
    if (!why.empty())
        raise_no_fit(archive, source, why);
    return archive;
}

void Archives::check() const
{
    check_archivable(policy_.target);
    pg::Spi spi;
    const Place place = place_of(spi, policy_.target);
    if (!OidIsValid(pg_call([&] { return get_namespace_oid(place.schema.c_str(), true); })))
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_SCHEMA,
                   .message = concat("schema ", pg::quote_identifier(place.schema), " of archive_to '",
                                     policy_.archive_to.value_or(""), "' does not exist"),
                   .hint = "Make it first, with CREATE on it for the owner of the target; or name another with "
                           "archive_to."});
    existing(spi, policy_.target, place);
}

void Archives::prepare_source(Oid source)
{
    check_archivable(source);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Place place = place_of(spi, source);
    Oid archive = existing(spi, source, place);
    if (!OidIsValid(archive)) {
        try {
            archive = create_archive(spi, source, place.schema, place.table);
        } catch (const pg::PgError& error) {
            pg::ErrorFields fields = error.fields();
            fields.message = concat("cannot make the archive ", pg::quote_qualified(place.schema, place.table), " of ",
                                    pg::relation_name(source), ": ", fields.message);
            if (fields.hint.empty())
                fields.hint = concat("It is made by the owner of the table, ", pg::role_name(owner_),
                                     ", who needs CREATE on the schema; or name another with archive_to.");
            throw pg::PgError(std::move(fields), error.from_postgres());
        }
    }
    const std::vector<std::string> added = extend_archive(spi, source, archive);
    register_archive(spi, extension, policy_, source, archive, place.named_by_us);
    for (const std::string& column : added)
        register_added_column(spi, extension, archive, column);
    by_source_[source] = {archive, pg::relation_name(archive)};
}

void Archives::prepare()
{
    const std::string unarchivable = unarchivable_dependents(policy_, owner_);
    if (!unarchivable.empty())
        pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   .message = concat("rows of ", policy_.target_name,
                                     " cannot be archived: with them go or change rows of tables of other owners"),
                   .detail = concat("These are: ", unarchivable, "."),
                   .hint = "Let one role own all of them, or use the action 'delete'."});
    by_source_.clear();
    prepare_source(policy_.target);
    for (const Oid table : changing_tables(cascade_from(policy_.target, std::nullopt)))
        prepare_for(table);
    for (const DeclaredRelation& relation : relations_of(policy_))
        prepare_related(relation.related);
}

// Rows of the related table take along what their own keys say.
void Archives::prepare_related(Oid table)
{
    prepare_for(table);
    for (const Oid dependent : changing_tables(cascade_from(table, std::nullopt)))
        prepare_for(dependent);
}

void Archives::prepare_for(Oid table)
{
    const Oid source = archive_source(policy_, table);
    if (!by_source_.contains(source))
        prepare_source(source);
}

const Archives::Archive& Archives::archive_of(Oid leaf) const
{
    const auto found = by_source_.find(archive_source(policy_, leaf));
    if (found == by_source_.end())
        pg::raise({.message = concat("pg_cleanup: no archive was prepared for ", pg::relation_name(leaf))});
    return found->second;
}

std::string Archives::own_values(std::string_view changed) const
{
    return concat("'", run_id_, "'::pg_catalog.int8, '", policy_.id, "'::pg_catalog.int8, pg_catalog.now(), ", changed);
}

namespace {

std::string insert_into(const std::string& archive, const std::string& columns)
{
    return concat("INSERT INTO ", archive, " (", columns, columns.empty() ? "" : ", ", run_id_column, ", ",
                  policy_id_column, ", ", archived_at_column, ", ", changed_column, ") ");
}

// What a constraint sets when the row that it references goes: the columns' names, and whether to their defaults.
struct KeyAction {
    Oid table = InvalidOid; // whose defaults these are, also for its partitions
    std::vector<std::string> columns;
    bool to_default = false;
};

KeyAction key_action(pg::Spi& spi, Oid constraint)
{
    const pg::Rows rows = spi.run(
        "SELECT a.attname, c.confdeltype OPERATOR(pg_catalog.=) 'd', c.conrelid FROM pg_catalog.pg_constraint AS c "
        "JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.conrelid "
        "AND a.attnum OPERATOR(pg_catalog.=) ANY (CASE WHEN pg_catalog.cardinality(c.confdelsetcols) "
        "OPERATOR(pg_catalog.>) 0 THEN c.confdelsetcols ELSE c.conkey END) "
        "WHERE c.oid OPERATOR(pg_catalog.=) $1 ORDER BY a.attnum",
        pg::Parameters().oid(constraint));
    KeyAction action;
    for (const auto& row : rows) {
        action.columns.push_back(pg::to_text(row[0]));
        action.to_default = pg::to_bool(row[1]);
        action.table = static_cast<Oid>(pg::to_int64(row[2]));
    }
    return action;
}

} // namespace

void Archives::lock() const
{
    for (const auto& [source, archive] : by_source_) {
        pg_call([table = source] { LockRelationOid(table, RowExclusiveLock); });
        pg_call([table = archive.table] { LockRelationOid(table, RowExclusiveLock); });
    }
}

std::string Archives::returning(Oid leaf) const
{
    const std::string list = column_list(columns_of(leaf), "target.");
    return list.empty() ? "NULL" : list;
}

std::string Archives::statement(Oid leaf, std::string_view deleted) const
{
    const std::string columns = column_list(columns_of(leaf));
    return concat(insert_into(archive_of(leaf).name, columns), "SELECT ", columns, columns.empty() ? "" : ", ",
                  own_values("NULL"), " FROM ", deleted, " RETURNING 1");
}

void Archives::before_changes(pg::Spi& spi, Oid leaf, Oid constraint, const RowIds& rows)
{
    const std::vector<TableColumn> columns = columns_of(leaf);
    const KeyAction action = key_action(spi, constraint);
    const std::vector<TableColumn> of_constraint = columns_of(action.table);
    std::string changed;
    for (const std::string& name : action.columns) {
        const auto column = std::ranges::find(of_constraint, name, &TableColumn::name);
        const std::string value =
            action.to_default && column != of_constraint.end() ? default_value(action.table, *column) : "NULL";
        changed.append(changed.empty() ? "" : ", ").append(concat(pg::quote_literal(name), ", ", value));
    }
    const pg::Rows kept = spi.run(
        concat(insert_into(archive_of(leaf).name, column_list(columns)), "SELECT ", column_list(columns, "target."),
               ", ", own_values(concat("pg_catalog.jsonb_build_object(", changed, ")")), " FROM ONLY ",
               pg::relation_name(leaf), " AS target WHERE target.ctid OPERATOR(pg_catalog.=) ANY ($1)"),
        pg::Parameters().value(TIDARRAYOID, row_id_array(rows)));
    if (kept.processed() != rows.size())
        pg::raise({.sqlstate = ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION,
                   .message = concat("of ", rows.size(), " rows of ", pg::relation_name(leaf),
                                     " that constraints change, ", kept.processed(), " could be archived"),
                   .hint = "Look for triggers and rules on the archive."});
}

} // namespace pgcleanup
