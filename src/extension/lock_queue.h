// Who waits for a lock, and with him everybody that comes after him.
#pragma once

#include "pg/guard.h"

#include <span>
#include <vector>

namespace pgcleanup {

// For work that takes long and holds locks which readers and writers do not mind: a change of a table's definition
// does, and while it waits nobody gets past it.
class LockQueue {
public:
    // Relations that this transaction holds a lock on.
    void add(std::span<const Oid> relations)
    {
        relations_.insert(relations_.end(), relations.begin(), relations.end());
    }
    // Whether a session waits for a lock on one of them that keeps writers out. Looks now and then, at its first call
    // for sure. Inside a transaction.
    bool keeps_somebody_waiting();

private:
    std::vector<Oid> relations_;
    std::chrono::microseconds next_look_{0};
};

} // namespace pgcleanup
