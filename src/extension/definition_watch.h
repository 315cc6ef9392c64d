// Notices that a definition which a policy may depend on has changed, by PostgreSQL's own invalidation messages.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// One per process: invalidation callbacks cannot be taken back.
class DefinitionWatch {
public:
    DefinitionWatch();
    // True when a relation, function, operator or type may have changed since the last call. Messages arrive when locks
    // are taken: ask after locking the target.
    bool changed() noexcept { return std::exchange(*changed_, false); }
    // Makes changed() true once more: what it said could not be looked into.
    void suspect() noexcept { *changed_ = true; }

private:
    bool* changed_; // lives as long as the process: the callbacks point to it
};

} // namespace pgcleanup
