// cleanup_export_policies and cleanup_import_policies.
#include "extension/policy_access.h"
#include "extension/policy_rules.h"
#include "extension/policy_write.h"
#include "extension/relation_exchange.h"
#include "extension/relation_write.h"
#include "extension/target.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_export_policies);
PG_FUNCTION_INFO_V1(cleanup_import_policies);
}

namespace pgcleanup {

namespace {

using pg::concat;

// Export.

std::string export_query()
{
    return concat("SELECT coalesce(jsonb_agg(jsonb_strip_nulls(to_jsonb(p) - "
                  "'{policy_id,created_by,created_at,changed_at}'::text[]) || "
                  "CASE WHEN p.archive_retain IS NULL THEN '{\"archive_retain\": null}' ELSE '{}' END::jsonb || ",
                  exported_relations_expression,
                  " ORDER BY p.policy COLLATE \"C\"), '[]')::text FROM @extschema@.cleanup_policies p "
                  "WHERE p.policy_id = ANY ($1::bigint[])");
}

std::string managed_ids(pg::Spi& spi, const pg::Extension& extension)
{
    const Rights rights(spi, extension, pg::current_identity().user);
    std::string ids;
    for (const Policy& policy : all_policies(spi, extension)) {
        if (rights.may(Right::administer, policy))
            ids += concat(ids.empty() ? "" : ",", policy.id);
    }
    return concat("{", ids, "}");
}

std::string export_policies()
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const std::string ids = managed_ids(spi, extension);
    const pg::AsExtensionOwner as_owner(extension);
    return pg::to_text(spi.run(pg::in_extension_schema(export_query(), extension), pg::Parameters().text(ids))[0][0]);
}

// Import.

constexpr const char* members =
    "policy text, target text, age_column name, retain interval, condition text, action text, set_values jsonb, "
    "age_unit text, guard text, on_reference text, archive_to text, archive_retain interval, batch_size int, "
    "refuse_above_rows bigint, refuse_above_fraction float8, time_zone text, priority int, enabled boolean, "
    "description text, keep_last int, keep_per text[], partitions text, split_families boolean, relations jsonb";
constexpr const char* member_names =
    "{policy,target,age_column,retain,condition,action,set_values,age_unit,guard,on_reference,archive_to,archive_"
    "retain,"
    "batch_size,refuse_above_rows,refuse_above_fraction,time_zone,priority,enabled,description,keep_last,"
    "keep_per,partitions,split_families,relations}";

[[noreturn]] void raise_not_an_export(std::string detail)
{
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = "this is not what cleanup_export_policies returns",
               .detail = std::move(detail),
               .hint = "It is an array of objects, each with the arguments of cleanup_add_policy by name."});
}

// Text of the whole is passed around: jsonb of a user is data, and read by constant statements.
void check_shape(pg::Spi& spi, const std::string& policies)
{
    const pg::Rows shape = spi.run("SELECT jsonb_typeof($1::jsonb)", pg::Parameters().text(policies));
    if (pg::to_text(shape[0][0]) != "array")
        raise_not_an_export("It is no array.");
    for (const auto& row : spi.run("SELECT jsonb_typeof(e) FROM jsonb_array_elements($1::jsonb) e "
                                   "WHERE jsonb_typeof(e) <> 'object' LIMIT 1",
                                   pg::Parameters().text(policies)))
        raise_not_an_export(concat("An element is no object: ", pg::to_text(row[0]), "."));
    for (const auto& row : spi.run("SELECT k FROM jsonb_array_elements($1::jsonb) e, jsonb_object_keys(e) k "
                                   "WHERE k <> ALL ($2::text[]) LIMIT 1",
                                   pg::Parameters().text(policies).text(std::string_view(member_names))))
        raise_not_an_export(concat("A policy has no member \"", pg::to_text(row[0]), "\"."));
}

// Each policy's name and JSON text.
pg::Rows read_elements(pg::Spi& spi, const pg::Extension& extension, const std::string& policies)
{
    const pg::AsExtensionOwner as_owner(extension);
    check_shape(spi, policies);
    return spi.run("SELECT coalesce(e->>'policy', ''), e::text FROM jsonb_array_elements($1::jsonb) e",
                   pg::Parameters().text(policies));
}

std::vector<pg::Cell> read_members(pg::Spi& spi, const pg::Extension& extension, const std::string& element)
{
    const std::string time_zone = pg::current_setting("TimeZone");
    const pg::AsExtensionOwner as_owner(extension);
    return spi.run(
        concat(
            "SELECT policy, target, age_column, retain::text, condition, coalesce(action, 'delete'), "
            "set_values::text, age_unit, guard, coalesce(on_reference, 'follow'), archive_to, "
            "CASE WHEN e ? 'archive_retain' THEN archive_retain ELSE '7 days' END::text, batch_size, "
            "refuse_above_rows, refuse_above_fraction, "
            "coalesce(time_zone, $2), coalesce(priority, 100), coalesce(enabled, true), description, "
            "keep_last, keep_per::text, coalesce(partitions, 'drop'), coalesce(split_families, false), relations::text "
            "FROM (SELECT $1::jsonb) f (e) CROSS JOIN LATERAL jsonb_to_record(e) x (",
            members, ")"),
        pg::Parameters().text(element).text(time_zone))[0];
}

std::string required(const pg::Cell& cell, const char* member)
{
    if (!cell)
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED,
                   .message = concat("a policy to import has no \"", member, "\"")});
    return *cell;
}

Policy to_policy(const std::vector<pg::Cell>& cells)
{
    auto cell = cells.begin();
    Policy policy;
    policy.name = required(*cell++, "policy");
    policy.target_name = required(*cell++, "target");
    read_declaration(policy, cell);
    return policy;
}

void bind_target(Policy& policy)
{
    const std::string name = policy.target_name;
    const Oid relation = pg::pg_call([&] {
        return RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name.c_str()))),
                                AccessShareLock, true);
    });
    if (!OidIsValid(relation))
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_TABLE,
                   .message = concat("the target ", name, " of policy \"", policy.name, "\" does not exist")});
    policy.target = relation;
    policy.target_name = pg::relation_name(relation);
}

// `relations`: JSON text of the member, if there is one.
void import_one(pg::Spi& spi, const pg::Extension& extension, Policy policy, const pg::Cell& relations, bool replace)
{
    bind_target(policy);
    check_whole_declaration(policy);
    const bool exists = find_policy(spi, extension, policy.name).has_value();
    if (exists && !replace)
        pg::raise({.sqlstate = ERRCODE_DUPLICATE_OBJECT,
                   .message = concat("policy \"", policy.name, "\" already exists"),
                   .hint = "With replace => true it is replaced by the imported one."});
    if (exists)
        policy.id = lock_policy_for(spi, extension, policy.name, Right::own).id;
    remove_relations(spi, extension, policy); // what they said must not be in the way of what the import says
    check_target_ownership(policy.target, pg::current_identity().user);
    TextOrigins origins;
    origins.condition = origins.guard = origins.set_values = TextOrigin::unknown;
    const std::string bound_to = check_and_bind(policy, origins);
    if (exists)
        update_policy(spi, extension, policy, bound_to);
    else
        policy.id = insert_policy(spi, extension, policy, bound_to);
    for (const DeclaredRelation& relation : relations_to_import(relations))
        insert_relation(spi, extension, policy, relation);
}

// An import has many policies: its errors say in which one they are.
void import_element(pg::Spi& spi, const pg::Extension& extension, const std::vector<pg::Cell>& element, bool replace)
{
    try {
        const std::vector<pg::Cell> cells = read_members(spi, extension, pg::to_text(element[1]));
        import_one(spi, extension, to_policy(cells), cells.back(), replace);
    } catch (const pg::PgError& error) {
        pg::ErrorFields fields = error.fields();
        fields.context +=
            concat(fields.context.empty() ? "" : "\n", "import of policy \"", pg::to_text(element[0]), "\"");
        throw pg::PgError(std::move(fields), error.from_postgres());
    }
}

std::int32_t import_policies(FunctionCallInfo fcinfo)
{
    if (PG_ARGISNULL(0))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "the policies to import must not be NULL"});
    const bool replace = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
    const std::string policies = pg::output_text(PG_GETARG_DATUM(0), JSONBOID);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    std::int32_t imported = 0;
    for (const auto& element : read_elements(spi, extension, policies)) {
        import_element(spi, extension, element, replace);
        ++imported;
    }
    return imported;
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_export_policies(PG_FUNCTION_ARGS)
{
    static_cast<void>(fcinfo);
    return pg::pg_entry([&] { return pg::input_value(export_policies(), JSONBOID); });
}

Datum cleanup_import_policies(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return Int32GetDatum(import_policies(fcinfo)); });
}
