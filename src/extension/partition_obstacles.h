// Why the rows of a partition must be deleted one by one, although all of them are due.
#pragma once

#include "extension/policy.h"

#include <map>

namespace pgcleanup {

// Why no partition of the policy's target may be dropped or detached, by what the policy says; nothing when they may.
std::optional<std::string> row_by_row_reason(const Policy& policy);

// What stands in the way on single relations: relation -> reason, for people.
struct PartitionObstacles {
    std::map<Oid, std::string>
        inherited;                  // of it and of everything below it: triggers, foreign keys, publications, rules
    std::map<Oid, std::string> own; // of it alone: a view, another policy, another owner

    // The first reason among a partition with what is below it (`members`), and what is above it, nearest first.
    std::optional<std::string> among(std::span<const Oid> members, std::span<const Oid> above) const;
};

// Looks at the catalogs as they are now. `members`: relations that would go; `above`: what they are partitions of, at
// every level. Bookkeeping: constant SQL as the extension's owner. Knows the common obstacles; PostgreSQL itself
// refuses to drop what anything else depends on.
class ObstacleSearch {
public:
    ObstacleSearch(pg::Extension extension, const Policy& policy, Oid owner);
    PartitionObstacles find(std::span<const Oid> members, std::span<const Oid> above);

private:
    pg::Extension extension_;
    std::int64_t policy_id_;
    bool drops_;
    Oid owner_;
    std::optional<pg::Plan> plan_;
};

} // namespace pgcleanup
