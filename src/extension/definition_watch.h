// Notices that a definition which a policy may depend on has changed, by PostgreSQL's own invalidation messages.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// One per process: invalidation callbacks cannot be taken back.
class DefinitionWatch {
public:
    DefinitionWatch();
    // True when a relation, schema, function, operator or type may have changed since the last call. Messages arrive
    // when locks are taken: ask after locking the target.
    bool changed() noexcept;
    // Makes changed() true once more: what it said could not be looked into.
    void suspect() noexcept { seen_->change = true; }
    // Raises t_r_serialization_failure when a schema was made, renamed or dropped since changed() was called. No lock
    // keeps a schema's name, and statements find their tables by it: ask before committing what they did.
    void check_schemas();

private:
    struct Seen {
        bool change;
        bool schema; // among the changes
    };
    static void pg_on_relation_change(Datum seen, Oid relation);
    static void pg_on_catalog_change(Datum seen, int cache, uint32 hash);

    Seen* seen_; // lives as long as the process: the callbacks point to it
};

} // namespace pgcleanup
