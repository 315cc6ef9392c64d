// Two runs never work on one table at a time.
#pragma once

#include "extension/policy.h"
#include "pg/lock_tag.h"

namespace pgcleanup {

// Session-level locks on every relation that a policy's run touches: target, leaf partitions, dependents. Released on
// destruction.
class RelationLocks {
public:
    explicit RelationLocks(Oid anchor) : anchor_(anchor) {}
    ~RelationLocks();
    RelationLocks(const RelationLocks&) = delete;
    RelationLocks& operator=(const RelationLocks&) = delete;

    // Takes all or none; returns the relation that another run holds, if any.
    std::optional<Oid> take(std::span<const Oid> relations);

private:
    void release() noexcept;

    Oid anchor_;
    std::vector<Oid> taken_;
};

// The relations that a run or a restore of a policy touches, its archives included. Inside a transaction.
std::vector<Oid> touched_relations(pg::Spi& spi, const pg::Extension& extension, const Policy& policy);

} // namespace pgcleanup
