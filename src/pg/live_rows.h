// Counting a heap table's rows exactly in two looks: a long one that keeps nobody waiting, and a short one at the end.
#pragma once

#include "pg/guard.h"

#include <functional>

namespace pgcleanup::pg {

// Between the looks the caller holds a lock that keeps VACUUM out (SHARE UPDATE EXCLUSIVE), and for settle() one that
// keeps everybody out (ACCESS EXCLUSIVE). Memory is bounded: a count for each block, or for each of 8,192 ranges of
// blocks.
class LiveRows {
public:
    explicit LiveRows(Oid table) : table_(table) {}

    // Reads the whole table, part by part; false when it may not go on with the next.
    bool look(const std::function<bool()>& may_go_on);
    // The number of rows. Reads again only blocks that may have changed since: a block whose bit in the visibility map
    // is set has not (only VACUUM sets it), nor has one without a newer WAL position, unless a row of it belonged to a
    // transaction that was still running. Where no bit was cleared, what was vacuumed costs nothing. Nothing when it is
    // not done at `give_up_at` (as elapsed_clock() tells time).
    std::optional<std::int64_t> settle(std::chrono::microseconds give_up_at);
    // Whether settle() found anything that may have changed.
    bool changed() const noexcept { return changed_; }

private:
    struct Range {
        std::int64_t rows;
        bool settled; // no row of it belonged to a running transaction
        bool visible; // every block of it had its bit in the visibility map
    };

    void pg_look_at(BlockNumber begin, BlockNumber end);

    struct Settling;
    bool pg_is_same(Settling* now, const Range& range, BlockNumber begin, BlockNumber end) const;
    void pg_settle_range(Settling* now, BlockNumber begin, BlockNumber end) const;

    Oid table_;
    XLogRecPtr since_ = InvalidXLogRecPtr;
    BlockNumber blocks_ = 0;
    BlockNumber visible_blocks_ = 0;
    BlockNumber range_blocks_ = 1;
    std::vector<Range> ranges_;
    bool changed_ = false;
};

} // namespace pgcleanup::pg
