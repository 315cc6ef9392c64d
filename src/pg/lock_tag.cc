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

void LockTag::unlock(LOCKMODE mode, bool for_session) const
{
    pg_call([&] { LockRelease(&tag_, mode, for_session); });
}

bool LockTag::is_held_elsewhere(LOCKMODE mode) const
{
    return pg_call([&] {
        int count = 0;
        GetLockConflicts(&tag_, mode, &count);
        return count > 0;
    });
}

Oid lock_anchor(Oid extension_schema)
{
    const Oid anchor = pg_call([&] { return get_relname_relid("cleanup_policies", extension_schema); });
    if (!OidIsValid(anchor))
        raise({.sqlstate = ERRCODE_UNDEFINED_TABLE,
               .message = "table \"cleanup_policies\" of extension \"pg_cleanup\" does not exist",
               .hint = "Run DROP EXTENSION pg_cleanup and CREATE EXTENSION pg_cleanup."});
    return anchor;
}

} // namespace pgcleanup::pg
