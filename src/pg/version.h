// Every difference between the supported PostgreSQL versions stands here, and nowhere else.
#pragma once

#include "pg/headers.h"

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "catalog/pg_database.h"
}
#endif

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
inline bool pg_owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, relation, role);
#else
    return pg_class_ownercheck(relation, role);
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

} // namespace pgcleanup::pg
