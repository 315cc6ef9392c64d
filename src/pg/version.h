// Every difference between the supported PostgreSQL versions stands here, and nowhere else.
#pragma once

#include "pg/headers.h"

#if PG_VERSION_NUM < 150000
#error "pg_cleanup needs PostgreSQL 15 or newer"
#endif

namespace pgcleanup::pg {

// From 17 on a worker may connect as a role without LOGIN (BGWORKER_BYPASS_ROLELOGINCHECK).
#ifdef BGWORKER_BYPASS_ROLELOGINCHECK
inline constexpr bool can_bypass_login_check = true;
inline constexpr uint32 bypass_login_check = BGWORKER_BYPASS_ROLELOGINCHECK;
#else
inline constexpr bool can_bypass_login_check = false;
inline constexpr uint32 bypass_login_check = 0;
#endif

// The ownership check was pg_class_ownercheck() until 15.
inline bool owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, relation, role);
#else
    return pg_class_ownercheck(relation, role);
#endif
}

// A database whose DROP was interrupted; known since 15.4.
inline bool is_invalid_database([[maybe_unused]] Form_pg_database database)
{
#ifdef DATCONNLIMIT_INVALID_DB
    return database->datconnlimit == DATCONNLIMIT_INVALID_DB;
#else
    return false;
#endif
}

// Whether a role may connect to this database; the check was pg_database_aclcheck() until 15.
inline bool pg_may_connect(Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#else
    return pg_database_aclcheck(MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
}

// Whether this session holds any lock on a relation; 17 gave LockHeldByMe() a third argument.
inline bool pg_holds_lock_on(Oid relation)
{
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
#if PG_VERSION_NUM >= 170000
    return LockHeldByMe(&tag, AccessShareLock, true);
#else
    for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; ++mode) {
        if (LockHeldByMe(&tag, mode))
            return true;
    }
    return false;
#endif
}

// USAGE of a schema: pg_namespace_aclcheck() until 15. May longjmp.
inline bool may_use_schema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
    return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

// True, over the alias c of pg_constraint, for foreign keys that compare by equality alone: 18 has temporal ones.
#if PG_VERSION_NUM >= 180000
inline constexpr const char* plain_foreign_key = "NOT c.conperiod";
#else
inline constexpr const char* plain_foreign_key = "true";
#endif

// The columns that a query reads of a range table entry, offset by FirstLowInvalidHeapAttributeNumber; they moved from
// the entry to a list of their own in 16. Null for entries that are no relations.
inline Bitmapset* selected_columns(RangeTblEntry* entry, [[maybe_unused]] List* permissions)
{
#if PG_VERSION_NUM >= 160000
    return entry->perminfoindex == 0 ? nullptr : getRTEPermissionInfo(permissions, entry)->selectedCols;
#else
    return entry->selectedCols;
#endif
}
inline List* permissions_of(const Query* query)
{
#if PG_VERSION_NUM >= 160000
    return query->rteperminfos;
#else
    static_cast<void>(query);
    return NIL;
#endif
}
inline List* permissions_of(const ParseState* state)
{
#if PG_VERSION_NUM >= 160000
    return state->p_rteperminfos;
#else
    static_cast<void>(state);
    return NIL;
#endif
}

// Tree walkers declared their callbacks without arguments until 15, which C++ takes literally.
using TreeWalker = bool (*)(Node*, void*);
using TreeMutator = Node* (*)(Node*, void*);
#if PG_VERSION_NUM >= 160000
inline TreeWalker declared(TreeWalker walker)
{
    return walker;
}
inline TreeMutator declared(TreeMutator mutator)
{
    return mutator;
}
#else
// By way of void (*)(), which compilers let stand for any function.
inline auto declared(TreeWalker walker)
{
    return reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker));
}
inline auto declared(TreeMutator mutator)
{
    return reinterpret_cast<Node* (*)()>(reinterpret_cast<void (*)()>(mutator));
}
#endif
inline bool walk_expression(Node* node, TreeWalker walker, void* context)
{
    return expression_tree_walker(node, declared(walker), context);
}
inline bool walk_query(Query* query, TreeWalker walker, void* context)
{
    return query_tree_walker(query, declared(walker), context, 0);
}
inline bool walk_raw_tree(Node* node, TreeWalker walker, void* context)
{
    return raw_expression_tree_walker(node, declared(walker), context);
}
inline Node* copy_expression(Node* node, TreeMutator mutator, void* context)
{
    return expression_tree_mutator(node, declared(mutator), context);
}
inline Query* copy_query(Query* query, TreeMutator mutator, void* context)
{
    return query_tree_mutator(query, declared(mutator), context, 0);
}

// 18 added a place for instrumentation. May longjmp.
inline IndexScanDesc pg_index_beginscan(Relation table, Relation index, Snapshot snapshot, int keys)
{
#if PG_VERSION_NUM >= 180000
    return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
    return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

} // namespace pgcleanup::pg
