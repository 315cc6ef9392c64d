#include "extension/set_values.h"

#include "pg/json.h"
#include "pg/text.h"

extern "C" {
#include "catalog/partition.h"
#include "rewrite/prs2lock.h"
}

namespace pgcleanup {

namespace {

using pg::concat;

[[noreturn]] void refuse(int sqlstate, std::string message, std::string hint, std::string detail = {})
{
    pg::raise(
        {.sqlstate = sqlstate, .message = std::move(message), .detail = std::move(detail), .hint = std::move(hint)});
}

constexpr const char* shape_hint =
    R"(Write an object of columns and expressions: {"status": "'closed'", "payload": "NULL"}.)";

std::string kind_of(pg::Spi& spi, const std::string& json)
{
    return pg::to_text(spi.run("SELECT pg_catalog.jsonb_typeof($1::pg_catalog.jsonb)", pg::Parameters().text(json),
                               pg::Access::read_only)[0][0]);
}

// The columns that are set.

struct ColumnFacts {
    AttrNumber number = InvalidAttrNumber;
    bool is_generated = false;
    bool is_identity_always = false;
};

ColumnFacts facts_of(Oid relation, const std::string& column)
{
    return pg::pg_call([&] {
        ColumnFacts facts;
        HeapTuple tuple = SearchSysCacheAttName(relation, column.c_str());
        if (!HeapTupleIsValid(tuple))
            return facts;
        auto* form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
        facts = {form->attnum, form->attgenerated != '\0', form->attidentity == ATTRIBUTE_IDENTITY_ALWAYS};
        ReleaseSysCache(tuple);
        return facts;
    });
}

// The target, all that is part of it, and all that it is part of.
std::vector<Oid> partition_family(Oid target)
{
    List* all = pg::pg_call([&] {
        List* family = find_all_inheritors(target, AccessShareLock, nullptr);
        return get_rel_relispartition(target) ? list_concat(family, get_partition_ancestors(target)) : family;
    });
    std::vector<Oid> family;
    family.reserve(list_length(all));
    for (int i = 0; i < list_length(all); ++i)
        family.push_back(list_nth_oid(all, i));
    return family;
}

bool is_partition_key(Oid relation, const std::string& column)
{
    return pg::pg_call([&] {
        if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
            return false;
        Relation table = table_open(relation, AccessShareLock);
        const int member = get_attnum(relation, column.c_str()) - FirstLowInvalidHeapAttributeNumber;
        bool in_expression = false;
        const bool found = has_partition_attrs(table, bms_make_singleton(member), &in_expression);
        table_close(table, NoLock);
        return found;
    });
}

bool has_update_rule(Oid relation)
{
    return pg::pg_call([&] {
        Relation table = table_open(relation, AccessShareLock);
        bool found = false;
        for (int i = 0; table->rd_rules != nullptr && i < table->rd_rules->numLocks; ++i)
            found = found || table->rd_rules->rules[i]->event == CMD_UPDATE;
        table_close(table, NoLock);
        return found;
    });
}

// Also through a generated column, which is set with what it is computed from.
constexpr const char* referencing_sql = R"(
SELECT c.conname, quote_ident(n.nspname) || '.' || quote_ident(r.relname)
FROM pg_constraint c
  JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey)
  JOIN pg_class r ON r.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'f' AND c.confrelid = ANY ($1::oid[]) AND (a.attname = $2 OR EXISTS (
  SELECT FROM pg_attribute s JOIN pg_depend d
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.attrelid AND d.refobjsubid = s.attnum
  WHERE a.attgenerated <> '' AND s.attrelid = a.attrelid AND s.attname = $2 AND (
    (d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum)
    OR (d.classid = 'pg_attrdef'::regclass AND d.objid IN (
      SELECT x.oid FROM pg_attrdef x WHERE x.adrelid = a.attrelid AND x.adnum = a.attnum)))))
ORDER BY c.conparentid <> 0, c.oid LIMIT 1)";

void check_not_referenced(pg::Spi& spi, const std::string& family, const std::string& column)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    for (const auto& row : spi.run(referencing_sql, pg::Parameters().text(family).name(column), pg::Access::read_only))
        refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
               concat("set_values must not set \"", column, "\", a column that ", pg::to_text(row[1]), " references"),
               "What other rows refer to a row by must stay.", concat("The constraint is ", pg::to_text(row[0]), "."));
}

// $1: a table, $2: a column that may be generated, $3: one that it may be computed from.
constexpr const char* computed_sql = R"(
SELECT FROM pg_attribute a
  JOIN pg_attribute s ON s.attrelid = a.attrelid AND s.attname = $3
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.attrelid AND d.refobjsubid = s.attnum
WHERE a.attrelid = $1 AND a.attname = $2 AND a.attgenerated <> '' AND (
  (d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum)
  OR (d.classid = 'pg_attrdef'::regclass AND d.objid IN (
    SELECT x.oid FROM pg_attrdef x WHERE x.adrelid = a.attrelid AND x.adnum = a.attnum))))";

bool is_computed_from(pg::Spi& spi, Oid target, const std::string& generated, const std::string& source)
{
    const pg::AsExtensionOwner bookkeeping(pg::extension());
    return !spi.run(computed_sql, pg::Parameters().oid(target).name(generated).name(source), pg::Access::read_only)
                .empty();
}

void check_not_newest_by(pg::Spi& spi, const Policy& policy, const std::string& column)
{
    if (!policy.keep_last)
        return;
    std::vector<std::string> kept = policy.keep_per;
    kept.push_back(policy.age_column.value_or(""));
    for (const std::string& name : kept)
        if (name == column || is_computed_from(spi, policy.target, name, column))
            refuse(ERRCODE_INVALID_PARAMETER_VALUE,
                   concat("set_values must not set \"", column, "\" together with keep_last"),
                   "It says which rows of a group are the newest: others would become due by each update.");
}

void check_column(Oid target, const std::string& column)
{
    const ColumnFacts facts = facts_of(target, column);
    if (facts.number == InvalidAttrNumber)
        refuse(ERRCODE_UNDEFINED_COLUMN,
               concat("column \"", column, "\" of ", pg::relation_name(target), " does not exist"),
               "set_values names columns of the target.");
    if (facts.number < 0)
        refuse(ERRCODE_FEATURE_NOT_SUPPORTED, concat("set_values must not set the system column \"", column, "\""), "");
    if (facts.is_generated)
        refuse(ERRCODE_GENERATED_ALWAYS, concat("set_values must not set the generated column \"", column, "\""),
               "Set the columns that it is computed from.");
    if (facts.is_identity_always)
        refuse(ERRCODE_GENERATED_ALWAYS,
               concat("set_values must not set \"", column, "\", an identity column GENERATED ALWAYS"),
               "PostgreSQL itself sets it.");
}

} // namespace

std::vector<SetValue> parse_set_values(const std::string& json)
{
    pg::Spi spi;
    if (const std::string kind = kind_of(spi, json); kind != "object")
        refuse(ERRCODE_INVALID_PARAMETER_VALUE, concat("set_values must be a JSON object, not of type ", kind),
               shape_hint);
    std::vector<SetValue> values;
    for (const auto& row :
         spi.run("SELECT e.key, pg_catalog.jsonb_typeof(e.value), e.value OPERATOR(pg_catalog.#>>) '{}' "
                 "FROM pg_catalog.jsonb_each($1::pg_catalog.jsonb) AS e",
                 pg::Parameters().text(json), pg::Access::read_only)) {
        if (const std::string kind = pg::to_text(row[1]); kind != "string")
            refuse(ERRCODE_INVALID_PARAMETER_VALUE,
                   concat("set_values must give \"", pg::to_text(row[0]), "\" as a string, not of type ", kind),
                   "The string is the text of an expression: \"NULL\", \"0\", \"'closed'\", \"now()\".");
        values.push_back({pg::to_text(row[0]), pg::to_text(row[2])});
    }
    if (values.empty())
        refuse(ERRCODE_INVALID_PARAMETER_VALUE, "set_values must not be empty", shape_hint);
    return values;
}

std::string print_set_values(std::span<const SetValue> values)
{
    pg::JsonObject object;
    for (const SetValue& value : values)
        object.text(value.column, value.expression);
    return pg::output_text(pg::input_value(object.str(), JSONBOID), JSONBOID);
}

void check_set_columns(const Policy& policy, std::span<const SetValue> values)
{
    const Oid target = policy.target;
    pg::Spi spi;
    std::string list;
    const std::vector<Oid> family = partition_family(target);
    for (const Oid relation : family) {
        list += concat(list.empty() ? "" : ",", relation);
        if (has_update_rule(relation))
            refuse(ERRCODE_WRONG_OBJECT_TYPE,
                   concat(pg::relation_name(relation), " has a rule ON UPDATE, which would do something else instead"),
                   "Replace the rule by a trigger.");
    }
    for (const SetValue& value : values) {
        check_column(target, value.column);
        for (const Oid relation : family) {
            if (is_partition_key(relation, value.column))
                refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
                       concat("set_values must not set \"", value.column, "\", a column of the partition key of ",
                              pg::relation_name(relation)),
                       "A row must not move to another partition.");
        }
        check_not_referenced(spi, concat("{", list, "}"), value.column);
        check_not_newest_by(spi, policy, value.column);
    }
}

} // namespace pgcleanup
