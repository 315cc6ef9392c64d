#include "pg/lock_tag.h"

namespace pgcleanup::pg {

LockTag::LockTag(Oid anchor, LockKind kind, uint32 object) noexcept
{
    SET_LOCKTAG_OBJECT(tag_, MyDatabaseId, anchor, object, static_cast<uint16>(kind));
}

bool LockTag::try_lock(LOCKMODE mode, bool for_session) const
{
    return pg_call([&] { return LockAcquire(&tag_, mode, for_session, true) != LOCKACQUIRE_NOT_AVAIL; });
}

void LockTag::lock(LOCKMODE mode, bool for_session) const
{
    pg_call([&] { LockAcquire(&tag_, mode, for_session, false); });
}

void LockTag::unlock(LOCKMODE mode, bool for_session) const
{
    pg_call([&] { LockRelease(&tag_, mode, for_session); });
}

bool LockTag::is_held_elsewhere(LOCKMODE mode) const
{
    // Not GetLockConflicts(): it leaves out holders of session locks that are in no transaction right now (lock.c).
    if (!try_lock(mode, false))
        return true;
    unlock(mode, false);
    return false;
}

void release_session_locks_at_exit()
{
    // An abort would release them, but a process that is in no transaction aborts none (postinit.c, ShutdownPostgres).
    pg_call([] { before_shmem_exit([](int /*code*/, Datum) { LockReleaseAll(DEFAULT_LOCKMETHOD, true); }, 0); });
}

Oid lock_anchor(Oid extension_schema)
{
    const Oid anchor = pg_call([&] { return get_relname_relid("cleanup_policies", extension_schema); });
    if (!OidIsValid(anchor))
        raise({.sqlstate = ERRCODE_UNDEFINED_TABLE,
               .message = R"(table "cleanup_policies" of extension "pg_cleanup" does not exist)",
               .hint = "Run DROP EXTENSION pg_cleanup and CREATE EXTENSION pg_cleanup."});
    return anchor;
}

} // namespace pgcleanup::pg
