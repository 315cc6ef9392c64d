// Drops or detaches whole partitions, without a queue of waiting sessions behind it.
#pragma once

#include "extension/age.h"
#include "extension/lock_queue.h"
#include "extension/partition_contents.h"
#include "extension/partition_units.h"
#include "extension/run_limits.h"

namespace pgcleanup {

class PartitionRemoval {
public:
    // Inside an OwnerTransaction. Throws RunStopped when the age column is not any more what it was when the run began.
    PartitionRemoval(const RunContext& context, const Eligibility& eligibility, RunLimits& limits);

    struct Result {
        std::size_t removed = 0; // of the units given, the first ones
        std::string reason;      // when it is 0: why the rows of the first must go one by one
    };
    // Drops or detaches the first partition with everything below it, and as many of the next ones as fit into the time
    // that others may have to wait; counts their rows exactly, and commits. With `removed` 0 nothing was done:
    // something stands in the way by now, it stayed locked, or PostgreSQL refuses. Throws LeafGone when the first is no
    // part of the target any more, RunStopped, or PgError for what a run cannot go on after.
    Result remove(std::span<const PartitionUnit> units);

private:
    // Why a partition's rows go one by one; undoes the transaction.
    struct Refused {
        std::string reason;
    };
    struct Candidate {
        std::vector<Oid> members; // the partition, and everything below it
        std::vector<Oid> above;   // nearest first
        PartitionContents contents;
        std::string name;
        std::int64_t blocks = 0;
        PartitionRows rows = {};
    };

    bool is_still_the_targets(Oid partition) const;
    std::optional<Candidate> look_at(const PartitionUnit& unit, bool is_first, LockQueue& queue,
                                     std::chrono::microseconds end) const;
    std::vector<Candidate> candidates(std::span<const PartitionUnit> units) const;
    void check_nothing_in_the_way(std::vector<Candidate>& found);
    bool lock_out(const Candidate& candidate, const TimeBoundedLocks& locks, bool is_first) const;
    void remove_within_limit(const Candidate& candidate, const TimeBoundedLocks& locks) const;
    bool remove_one(Candidate& candidate, const TimeBoundedLocks& locks, std::int64_t rows_before);
    void remove_locked(std::vector<Candidate>& found);
    std::size_t carry_out(std::span<const PartitionUnit> units);
    std::optional<Refused> attempt(std::span<const PartitionUnit> units);
    AgeColumn age_column() const;

    const RunContext& context_;
    const Eligibility& eligibility_;
    RunLimits& limits_;
    bool drops_;
    ObstacleSearch obstacles_;
    AgeColumn age_;
    std::size_t together_ = 1; // how many to try at once
    std::size_t removing_ = 0; // which of them is being removed
    std::size_t removed_ = 0;  // by the last attempt
    int locked_in_a_row_ = 0;  // partitions
    bool was_slow_ = false;    // the last attempt: the removal itself, not the locks
};

} // namespace pgcleanup
