// cleanup_add_relation and cleanup_drop_relation.
#include "extension/dry_run.h"
#include "extension/policy_access.h"
#include "extension/relation_columns.h"
#include "extension/relation_write.h"
#include "extension/target.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_add_relation);
PG_FUNCTION_INFO_V1(cleanup_drop_relation);
}

namespace pgcleanup {

namespace {

using pg::concat;

enum Argument { argument_policy, argument_related, argument_on_columns, argument_unless_referenced };

void require_argument(FunctionCallInfo fcinfo, Argument argument, const char* message)
{
    if (PG_ARGISNULL(argument))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = message});
}

Policy lock_named_policy(pg::Spi& spi, const pg::Extension& extension, FunctionCallInfo fcinfo)
{
    require_argument(fcinfo, argument_policy, "the policy's name must not be NULL");
    require_argument(fcinfo, argument_related, "the related table must not be NULL");
    return lock_policy_for(spi, extension, *pg::text_argument(fcinfo, argument_policy), Right::own);
}

void take_columns(FunctionCallInfo fcinfo, DeclaredRelation& relation)
{
    relation.on_columns = pg::output_text(PG_GETARG_DATUM(argument_on_columns), JSONBOID);
    read_columns(relation);
}

std::int64_t add_relation(FunctionCallInfo fcinfo)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Policy policy = lock_named_policy(spi, extension, fcinfo);
    require_argument(fcinfo, argument_on_columns, "on_columns must not be NULL");
    require_argument(fcinfo, argument_unless_referenced, "unless_referenced must not be NULL");
    // Binding it anew would agree to whatever has changed.
    require_ready(policy);
    DeclaredRelation relation;
    relation.policy_id = policy.id;
    relation.related = PG_GETARG_OID(argument_related);
    lock_target(relation.related);
    relation.related_name = pg::relation_name(relation.related);
    relation.unless_referenced = PG_GETARG_BOOL(argument_unless_referenced);
    take_columns(fcinfo, relation);
    return insert_relation(spi, extension, policy, relation);
}

void drop_relation(FunctionCallInfo fcinfo)
{
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const Policy policy = lock_named_policy(spi, extension, fcinfo);
    const Oid related = PG_GETARG_OID(argument_related);
    DeclaredRelation wanted;
    if (!PG_ARGISNULL(argument_on_columns))
        take_columns(fcinfo, wanted);
    bool found = false;
    for (const DeclaredRelation& relation : relations_of(policy)) {
        if (relation.related != related || (!wanted.on_columns.empty() && relation.on_columns != wanted.on_columns))
            continue;
        delete_relation(spi, extension, relation.id);
        found = true;
    }
    if (!found)
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
                   .message = concat("policy \"", policy.name, "\" has no such relation"),
                   .hint = "cleanup_relations lists those that there are."});
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_add_relation(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return Int64GetDatum(add_relation(fcinfo)); });
}

Datum cleanup_drop_relation(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        drop_relation(fcinfo);
        return Datum(0);
    });
}
