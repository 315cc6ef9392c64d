// Drops or detaches whole partitions, one in each transaction, without a queue of waiting sessions behind it.
#pragma once

#include "extension/age.h"
#include "extension/partition_contents.h"
#include "extension/partition_units.h"
#include "extension/run_limits.h"

namespace pgcleanup {

class PartitionRemoval {
public:
    // Inside an OwnerTransaction. Throws RunStopped when the age column is not any more what it was when the run began.
    PartitionRemoval(const RunContext& context, const Eligibility& eligibility, RunLimits& limits);

    // Drops or detaches the partition with everything below it, counts its rows exactly, and commits. Returns why its
    // rows must go one by one, with nothing done: something stands in the way by now, it stayed locked, or PostgreSQL
    // refuses. Throws LeafGone when it is no part of the target any more, RunStopped, or PgError for what a run cannot
    // go on after.
    std::optional<std::string> remove(const PartitionUnit& unit);

private:
    void carry_out(const PartitionUnit& unit);
    PartitionRows remove_locked(std::span<const Oid> members, PartitionContents& contents);
    std::vector<Oid> keep_vacuum_out(Oid partition) const;
    void check_still_the_targets(Oid partition) const;
    void check_nothing_in_the_way(std::span<const Oid> members);
    AgeColumn age_column() const;

    const RunContext& context_;
    const Eligibility& eligibility_;
    RunLimits& limits_;
    bool drops_;
    ObstacleSearch obstacles_;
    AgeColumn age_;
    int locked_in_a_row_ = 0; // partitions
};

} // namespace pgcleanup
