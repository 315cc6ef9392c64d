// The rows of a partition that is to go as a whole: how many there are, and whether all of them are due.
#pragma once

#include "extension/partition_bounds.h"
#include "extension/time_bounded_locks.h"
#include "pg/live_rows.h"

namespace pgcleanup {

struct PartitionRows {
    std::int64_t rows = 0;
    std::int64_t bytes = 0;
};

// What the leaf table's rows take on disk: its main fork and that of its TOAST table, without indexes.
std::int64_t stored_bytes(Oid leaf);

class PartitionContents {
public:
    // `members`: the partition and everything below it, locked against VACUUM. `look_at_ages`: bounds alone do not
    // prove that every row is due.
    PartitionContents(const Eligibility& eligibility, std::span<const Oid> members, bool look_at_ages);

    // Whether the bounds say now what they said at the end of look().
    bool bounds_still_prove() const;
    // Reads every row, part by part; false when it may not go on with the next. Nobody has to wait. The tables above
    // are only locked (ACCESS SHARE) once that is done.
    bool look(const std::function<bool()>& may_go_on);
    // Whether settle() is likely to be done within `limit`: tries.
    bool settles_within(std::chrono::microseconds limit);
    // The numbers, exactly. With ACCESS EXCLUSIVE on every member; reads only what changed since look(), and throws
    // LocksTakeTooLong when that takes longer than the locks may.
    PartitionRows settle(const TimeBoundedLocks& locks);
    // Whether some row stays, as of the last of the two.
    bool some_stay() const noexcept { return some_stay_; }

private:
    void look_for_rows_that_stay();
    bool look_for_rows_that_stay(const std::function<bool()>& may_go_on);

    const Eligibility* eligibility_;
    Oid partition_;
    bool look_at_ages_;
    BoundsVerdict verdict_ = BoundsVerdict::unknown;
    std::vector<Oid> leaves_;
    std::vector<pg::LiveRows> rows_;
    bool some_stay_ = false;
};

} // namespace pgcleanup
