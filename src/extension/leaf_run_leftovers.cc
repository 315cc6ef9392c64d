// The part of a leaf table's run that comes after the walk: what stayed behind is tried again, then counted.
#include "extension/leaf_run.h"

#include "pg/text.h"

#include <iterator>

namespace pgcleanup {

using core::BlockRange;
using pg::concat;

namespace {

// A chain of rows of one table that reference each other goes from its end, one link a pass.
constexpr int most_passes = 64;

} // namespace

void LeafRun::remember(const WorkUnit& unit)
{
    if (const auto* blocks = std::get_if<BlockRange>(&unit)) {
        leftovers_.again.add(*blocks);
        return;
    }
    for (const ItemPointerData& row : std::get<RowIds>(unit)) {
        const BlockNumber block = ItemPointerGetBlockNumber(&row);
        leftovers_.again.add({block, block + 1});
    }
}

std::int64_t LeafRun::try_left_again()
{
    const core::BlockRanges ranges = std::exchange(leftovers_.again, core::BlockRanges(4096));
    const std::int64_t removed_before = removed_;
    vetoed_ = 0;
    for (const BlockRange range : ranges) {
        for (const BlockRange part : core::parts_of(range, collected_blocks)) {
            check_bounds();
            const RowIds rows = collect(part);
            leftovers_.again.add(part);
            if (rows.empty())
                continue;
            if (batches_.uses_families())
                run_rows(rows, 0);
            else
                redo_lock_first(rows, 0);
        }
    }
    return removed_ - removed_before;
}

void LeafRun::finish(bool try_again)
{
    if (try_again)
        forget_failures();
    for (int pass = 0; try_again && pass < most_passes; ++pass) {
        follow_moved_rows();
        if (leftovers_.again.empty())
            return;
        if (try_left_again() == 0 || !(statements_.has_blockers() || batches_.uses_families() || has_moved_))
            break;
    }
    if (try_again)
        follow_moved_rows();
    count_left();
}

// What a constraint or a trigger has changed is in another place, which the walk may have passed.
void LeafRun::follow_moved_rows()
{
    if (std::exchange(has_moved_, false))
        leftovers_.again.add({0, look([this] { return block_count(leaf_); })});
}

void LeafRun::count_left()
{
    for (const BlockRange range : leftovers_.again) {
        for (const BlockRange part : core::parts_of(range, collected_blocks))
            count_left(part);
    }
    const std::int64_t vetoed = std::min(vetoed_, stayed_);
    skipped_.add("kept by a trigger", vetoed, stayed_samples_);
    skipped_.add("locked by another session", stayed_ - vetoed, stayed_samples_);
}

void LeafRun::count_left(BlockRange blocks)
{
    if (batches_.uses_families()) {
        count_left_families(blocks);
        return;
    }
    LeftBehind left;
    std::vector<std::string> blocked;
    const std::string blockers = look([&] {
        pg::Spi spi;
        left = statements_.count_left(spi, blocks);
        if (left.blocked == 0)
            return std::string();
        blocked = statements_.sample_blocked(spi, blocks);
        return statements_.blocker_names();
    });
    skipped_.add(concat("referenced by rows that stay in ", blockers), left.blocked, blocked);
    const RowIds failed = failed_rows(blocks);
    const std::int64_t stayed = left.rows - left.blocked - static_cast<std::int64_t>(failed.size());
    if (stayed <= 0)
        return;
    if (stayed_samples_.empty())
        stayed_samples_ = sample(collect(blocks));
    stayed_ += stayed;
}

RowIds LeafRun::failed_rows(BlockRange blocks) const
{
    RowIds rows;
    std::copy_if(leftovers_.failed.begin(), leftovers_.failed.end(), std::back_inserter(rows),
                 [&](const ItemPointerData& row) {
                     const BlockNumber block = ItemPointerGetBlockNumber(&row);
                     return block >= blocks.begin && block < blocks.end;
                 });
    return rows;
}

std::vector<std::string> LeafRun::sample(const RowIds& rows)
{
    if (rows.empty())
        return {};
    return look([&] {
        pg::Spi spi;
        return statements_.sample_rows(spi, rows);
    });
}

} // namespace pgcleanup
