// Locks of pg_cleanup's own, in PostgreSQL's lock table.
//
// They are object locks whose class is our table cleanup_policies: no SQL function can take or drop them, as owner code
// could with advisory locks (pg_advisory_unlock_all). A session-level lock outlives commits but not an abort of the
// holder's transaction (lock.c, LockReleaseAll), so holders are processes that run no owner code. It also outlives a
// process that ends between two transactions, and then blocks for ever: holders call release_session_locks_at_exit()
// first.
#pragma once

#include "pg/guard.h"

namespace pgcleanup::pg {

enum class LockKind : uint16 {
    relation_run = 1, // one run at a time works on a relation; object = relation
    run_alive = 2,    // held while a run lives; object = low half of the run's id
    holds = 3,        // a relation's holds; object = relation
    history = 4,      // pruning the history, one at a time; object = 0
};

class LockTag {
public:
    // `anchor` is the OID of the table cleanup_policies.
    LockTag(Oid anchor, LockKind kind, uint32 object) noexcept;
    // Takes the lock without waiting; false when another session has it.
    bool try_lock(LOCKMODE mode, bool for_session) const;
    // Takes it, waiting for others.
    void lock(LOCKMODE mode, bool for_session) const;
    void unlock(LOCKMODE mode, bool for_session) const;
    // True when some other session holds it in a mode that conflicts with `mode`, which must not conflict with itself,
    // or two that look at a time would see each other. Also while the holder is between two transactions.
    bool is_held_elsewhere(LOCKMODE mode) const;

private:
    LOCKTAG tag_{};
};

// To be called before the process connects to a database, so that the locks go after its last transaction was aborted.
void release_session_locks_at_exit();

// The OID of the table cleanup_policies in the extension's schema; raises undefined_table when it is gone.
Oid lock_anchor(Oid extension_schema);

} // namespace pgcleanup::pg
