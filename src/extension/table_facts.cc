#include "extension/table_facts.h"

#include "pg/text.h"
#include "pg/version.h"

extern "C" {
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/rls.h"
}

namespace pgcleanup {

namespace {

// Runs inside pg_call; allocates in the current memory context.
List* pg_inheritors(Oid table)
{
    return find_all_inheritors(table, NoLock, nullptr);
}

bool pg_has_triggers(Oid table)
{
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        return false;
    const bool has = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relhastriggers;
    ReleaseSysCache(tuple);
    return has;
}

double pg_planner_rows(Oid table)
{
    Relation relation = try_relation_open(table, AccessShareLock);
    if (relation == nullptr)
        return 0;
    BlockNumber pages = 0;
    double rows = 0;
    double all_visible = 0;
    estimate_rel_size(relation, nullptr, &pages, &rows, &all_visible);
    // Of a table that was never analyzed the planner assumes at least ten pages.
    if (relation->rd_rel->reltuples < 0 && pages > 0)
        rows = rows / pages * RelationGetNumberOfBlocks(relation);
    relation_close(relation, NoLock);
    return rows;
}

} // namespace

std::vector<Oid> leaves_of(Oid table)
{
    // Old-style inheritance is no concern here: policies and foreign keys are about one table.
    if (pg::pg_call([&] { return get_rel_relkind(table); }) != RELKIND_PARTITIONED_TABLE)
        return {table};
    List* inheritors = pg::pg_call([&] { return pg_inheritors(table); });
    std::vector<Oid> leaves;
    for (int i = 0; i < list_length(inheritors); ++i) {
        const Oid member = list_nth_oid(inheritors, i);
        if (pg::pg_call([&] { return get_rel_relkind(member); }) == RELKIND_RELATION)
            leaves.push_back(member);
    }
    return leaves;
}

std::string from_table(Oid table)
{
    const bool partitioned = pg::pg_call([&] { return get_rel_relkind(table); }) == RELKIND_PARTITIONED_TABLE;
    return (partitioned ? "" : "ONLY ") + pg::relation_name(table);
}

double estimated_rows(Oid table)
{
    double rows = 0;
    for (const Oid leaf : leaves_of(table))
        rows += pg::pg_call([&] { return pg_planner_rows(leaf); });
    return rows;
}

bool has_triggers(Oid table)
{
    return pg::pg_call([&] {
        if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
            return pg_has_triggers(table);
        List* members = pg_inheritors(table);
        for (int i = 0; i < list_length(members); ++i)
            if (pg_has_triggers(list_nth_oid(members, i)))
                return true;
        return false;
    });
}

bool may_read(Oid table, Oid role)
{
    return pg::pg_call([&] {
        return pg::may_use_schema(get_rel_namespace(table), role) &&
               pg_class_aclcheck(table, role, ACL_SELECT) == ACLCHECK_OK &&
               check_enable_rls(table, role, true) != RLS_ENABLED;
    });
}

} // namespace pgcleanup
