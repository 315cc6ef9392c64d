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

// The process slot of another backend, by its pid, moved between headers; its latch is the same everywhere.
inline PGPROC* find_process(int pid) { return BackendPidGetProc(pid); }

} // namespace pgcleanup::pg
