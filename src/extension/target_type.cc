// The type cleanup_target; src/sql/10_target_type.sql says what it is for.
#include "extension/target_type.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_target_in);
PG_FUNCTION_INFO_V1(cleanup_target_out);
PG_FUNCTION_INFO_V1(cleanup_target_to_regclass);
PG_FUNCTION_INFO_V1(cleanup_target_from_regclass);
PG_FUNCTION_INFO_V1(cleanup_target_is_bound);
}

namespace pgcleanup {

namespace {

// The value as it is stored.
struct StoredTarget {
    Oid relation; // InvalidOid: a name that has not been bound yet
    Oid row_type; // of the relation when it was bound: a later relation with the same OID has another
    NameData schema;
    NameData name;
};
static_assert(sizeof(StoredTarget) == 136, "INTERNALLENGTH of the type");

// What the catalog says of a relation, as plain data.
struct RelationIdentity {
    bool found;
    Oid row_type;
    const char* schema;
    const char* name;
};

RelationIdentity pg_relation_identity(Oid relation)
{
    RelationIdentity identity{};
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
        return identity;
    auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    identity = {true, form->reltype, get_namespace_name(form->relnamespace), pstrdup(NameStr(form->relname))};
    ReleaseSysCache(tuple);
    return identity;
}

StoredTarget* pg_make(Oid relation, Oid row_type, const char* schema, const char* name)
{
    auto* value = static_cast<StoredTarget*>(palloc0(sizeof(StoredTarget)));
    value->relation = relation;
    value->row_type = row_type;
    namestrcpy(&value->schema, schema == nullptr ? "" : schema);
    namestrcpy(&value->name, name);
    return value;
}

// The relation of that name now, without looking at anybody's rights: it is a name, not an access.
Oid pg_find(const char* schema, const char* name)
{
    const Oid space = get_namespace_oid(schema, true);
    return OidIsValid(space) ? get_relname_relid(name, space) : InvalidOid;
}

StoredTarget* pg_bind(Oid relation)
{
    const RelationIdentity identity = pg_relation_identity(relation);
    if (!identity.found)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
    return pg_make(relation, identity.row_type, identity.schema, identity.name);
}

StoredTarget* pg_target_in(const char* text)
{
    List* names = textToQualifiedNameList(cstring_to_text(text));
    if (list_length(names) > 2)
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR), errmsg("improper table name (too many dotted names): %s", text)));
    const char* name = strVal(llast(names));
    if (list_length(names) == 2) {
        const char* schema = strVal(linitial(names));
        const Oid relation = pg_find(schema, name);
        return OidIsValid(relation) ? pg_bind(relation) : pg_make(InvalidOid, InvalidOid, schema, name);
    }
    // A name alone says nothing about a table that is not there: nobody could tell later which one was meant.
    const Oid relation = RelnameGetRelid(name);
    if (!OidIsValid(relation))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"%s\" does not exist", name),
                        errhint("A table that is not there yet needs its schema: schema.%s.", quote_identifier(name))));
    return pg_bind(relation);
}

char* pg_target_out(const StoredTarget* value)
{
    if (OidIsValid(value->relation)) {
        const RelationIdentity now = pg_relation_identity(value->relation);
        if (now.found && now.row_type == value->row_type)
            return quote_qualified_identifier(now.schema, now.name);
    }
    return quote_qualified_identifier(NameStr(value->schema), NameStr(value->name));
}

Oid pg_target_relation(const StoredTarget* value)
{
    if (!OidIsValid(value->relation))
        return pg_find(NameStr(value->schema), NameStr(value->name));
    const RelationIdentity now = pg_relation_identity(value->relation);
    return now.found && now.row_type == value->row_type ? value->relation : InvalidOid;
}

const StoredTarget* stored(Datum value)
{
    return reinterpret_cast<const StoredTarget*>(DatumGetPointer(value));
}

} // namespace

Oid target_relation(Datum target)
{
    return pg::pg_call([&] { return pg_target_relation(stored(target)); });
}

bool target_is_bound(Datum target)
{
    return OidIsValid(stored(target)->relation);
}

Datum bound_target(Oid relation)
{
    return pg::pg_call([&] { return PointerGetDatum(pg_bind(relation)); });
}

std::string target_text(Datum target)
{
    const char* text = pg::pg_call([&] { return pg_target_out(stored(target)); });
    return text;
}

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_target_in(PG_FUNCTION_ARGS)
{
    return pg::pg_entry(
        [&] { return pg::pg_call([&] { return PointerGetDatum(pg_target_in(PG_GETARG_CSTRING(0))); }); });
}

Datum cleanup_target_out(PG_FUNCTION_ARGS)
{
    return pg::pg_entry(
        [&] { return pg::pg_call([&] { return CStringGetDatum(pg_target_out(stored(PG_GETARG_DATUM(0)))); }); });
}

Datum cleanup_target_to_regclass(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        const Oid relation = target_relation(PG_GETARG_DATUM(0));
        fcinfo->isnull = !OidIsValid(relation);
        return ObjectIdGetDatum(relation);
    });
}

Datum cleanup_target_from_regclass(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return bound_target(PG_GETARG_OID(0)); });
}

Datum cleanup_target_is_bound(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] { return BoolGetDatum(target_is_bound(PG_GETARG_DATUM(0))); });
}
