#include "extension/target.h"

#include "pg/identity.h"
#include "pg/text.h"
#include "pg/version.h"

namespace pgcleanup {

namespace {

using pg::concat;

// What pg_class says of a relation, as plain data.
struct ClassRow {
    bool found;
    Oid schema;
    Oid owner;
    Oid access_method;
    char kind;
    char persistence;
    bool has_rules;
    bool forces_row_security;
};

ClassRow pg_class_row(Oid relation)
{
    ClassRow row{};
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
        return row;
    auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    row = {true,          form->relnamespace,   form->relowner,    form->relam,
           form->relkind, form->relpersistence, form->relhasrules, form->relrowsecurity && form->relforcerowsecurity};
    ReleaseSysCache(tuple);
    return row;
}

bool pg_has_delete_rule(Oid relation)
{
    Relation catalog = table_open(RewriteRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
    SysScanDesc scan = systable_beginscan(catalog, RewriteRelRulenameIndexId, true, nullptr, 1, &key);
    bool found = false;
    for (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple) && !found; tuple = systable_getnext(scan))
        found = reinterpret_cast<Form_pg_rewrite>(GETSTRUCT(tuple))->ev_type == '0' + CMD_DELETE;
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return found;
}

bool pg_may_bypass_row_security(Oid role)
{
    HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
    if (!HeapTupleIsValid(tuple))
        return false;
    auto* form = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple));
    const bool bypasses = form->rolsuper || form->rolbypassrls;
    ReleaseSysCache(tuple);
    return bypasses;
}

[[noreturn]] void raise_undefined(Oid relation)
{
    pg::raise(
        {.sqlstate = ERRCODE_UNDEFINED_TABLE, .message = concat("relation with OID ", relation, " does not exist")});
}

[[noreturn]] void refuse(Oid relation, std::string detail, std::string hint, int sqlstate = ERRCODE_WRONG_OBJECT_TYPE)
{
    pg::raise({.sqlstate = sqlstate,
               .message = concat("cannot make a policy on ", pg::relation_name(relation)),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

constexpr const char* needs_table = "A policy needs a table, a partitioned table or a partition.";

void check_kind(Oid relation, const ClassRow& row)
{
    switch (row.kind) {
    case RELKIND_RELATION:
    case RELKIND_PARTITIONED_TABLE:
        return;
    case RELKIND_VIEW:
        refuse(relation, "It is a view.", "Make the policy on the table below the view.");
    case RELKIND_MATVIEW:
        refuse(relation, "It is a materialized view.", "Make the policy on the table below it, and refresh it.");
    case RELKIND_FOREIGN_TABLE:
        refuse(relation, "It is a foreign table.", "Make the policy in the database that has the rows.");
    case RELKIND_SEQUENCE:
        refuse(relation, "It is a sequence.", needs_table);
    case RELKIND_INDEX:
    case RELKIND_PARTITIONED_INDEX:
        refuse(relation, "It is an index.", needs_table);
    case RELKIND_TOASTVALUE:
        refuse(relation, "It is a TOAST table.", needs_table);
    default:
        refuse(relation, "It is not a table.", needs_table);
    }
}

void check_place(Oid relation, const ClassRow& row)
{
    if (relation < static_cast<Oid>(FirstNormalObjectId) || pg::pg_call([&] { return IsCatalogNamespace(row.schema); }))
        refuse(relation, "It is a system catalog.", needs_table);
    if (row.persistence == RELPERSISTENCE_TEMP)
        refuse(relation, "It is a temporary table, which no other session can see.", "");
    const Oid member_of = pg::pg_call([&] { return getExtensionOfObject(RelationRelationId, relation); });
    if (OidIsValid(member_of)) {
        const char* name = pg::pg_call([&] { return get_extension_name(member_of); });
        refuse(relation, concat("It belongs to extension \"", name == nullptr ? "?" : name, "\"."),
               "Use what the extension itself offers to remove old rows.");
    }
}

void check_storage(Oid relation, const ClassRow& row)
{
    if (row.kind != RELKIND_RELATION || row.access_method == HEAP_TABLE_AM_OID)
        return;
    const char* name = pg::pg_call([&] { return get_am_name(row.access_method); });
    refuse(relation, concat("Its access method is ", name == nullptr ? "unknown" : name, "."),
           "Only tables of access method heap are supported.", ERRCODE_FEATURE_NOT_SUPPORTED);
}

void check_meaning_of_delete(Oid relation, const ClassRow& row)
{
    if (row.has_rules && pg::pg_call([&] { return pg_has_delete_rule(relation); }))
        refuse(relation, "It has a rule ON DELETE, which would do something else instead.",
               "Replace the rule by a trigger.");
    if (row.forces_row_security && !pg::pg_call([&] { return pg_may_bypass_row_security(row.owner); }))
        refuse(relation, "Its row security is forced on its owner, whom it would hide rows from.",
               "Run ALTER TABLE ... NO FORCE ROW LEVEL SECURITY, or give the owner BYPASSRLS.",
               ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
}

void check_one(Oid relation)
{
    const ClassRow row = pg::pg_call([&] { return pg_class_row(relation); });
    if (!row.found)
        raise_undefined(relation);
    check_kind(relation, row);
    check_place(relation, row);
    check_storage(relation, row);
    check_meaning_of_delete(relation, row);
}

// Whoever owns a partition can put a trigger on it, which would run with the rights of the root's owner.
void check_partition_owner(Oid root, Oid partition)
{
    const Oid owner = target_owner(root);
    const Oid partition_owner = target_owner(partition);
    if (owner == partition_owner)
        return;
    refuse(partition,
           concat("It belongs to role ", pg::role_name(partition_owner), ", and the partitioned table to role ",
                  pg::role_name(owner), ", as whom the policy runs."),
           concat("ALTER TABLE ", pg::relation_name(partition), " OWNER TO ",
                  pg::quote_identifier(pg::role_name(owner)), ";"),
           ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
}

void check_partition(Oid root, Oid partition)
{
    try {
        check_one(partition);
        check_partition_owner(root, partition);
    } catch (const pg::PgError& error) {
        pg::ErrorFields fields = error.fields();
        fields.message = concat("cannot make a policy on ", pg::relation_name(root), ": its partition ",
                                pg::relation_name(partition), " cannot be worked on");
        throw pg::PgError(std::move(fields), error.from_postgres());
    }
}

} // namespace

void lock_target(Oid relation)
{
    pg::pg_call([&] { LockRelationOid(relation, AccessShareLock); });
    if (!pg::pg_call([&] { return pg_class_row(relation).found; }))
        raise_undefined(relation);
}

void check_target(Oid relation)
{
    check_one(relation);
    if (pg::pg_call([&] { return get_rel_relkind(relation); }) != RELKIND_PARTITIONED_TABLE)
        return;
    const List* partitions = pg::pg_call([&] { return find_all_inheritors(relation, NoLock, nullptr); });
    for (int i = 1; i < list_length(partitions); ++i)
        check_partition(relation, list_nth_oid(partitions, i));
}

void check_target_ownership(Oid relation, Oid role)
{
    if (pg::pg_call([&] { return pg::owns_relation(relation, role); }))
        return;
    pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
               .message = concat("must be owner of table ", pg::relation_name(relation)),
               .detail = "A policy runs with the rights of its target's owner, so only he, members of his role and "
                         "superusers may make or change one."});
}

Oid target_owner(Oid relation)
{
    return pg::pg_call([&] { return pg_class_row(relation).owner; });
}

} // namespace pgcleanup
