#include "core/block_ranges.h"

#include <algorithm>
#include <iterator>

namespace pgcleanup::core {

std::vector<BlockRange> parts_of(BlockRange range, std::uint32_t most)
{
    std::vector<BlockRange> parts;
    while (range.begin < range.end) {
        const std::uint32_t end = range.begin + std::min(most, range.end - range.begin);
        parts.push_back({range.begin, end});
        range.begin = end;
    }
    return parts;
}

BlockRanges::BlockRanges(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 1)) {}

void BlockRanges::add(BlockRange range)
{
    if (range.begin >= range.end) {
        return;
    }
    const auto ends_before = [](const BlockRange& one, std::uint32_t block) { return one.end < block; };
    const auto begins_after = [](std::uint32_t block, const BlockRange& one) { return block < one.begin; };
    const auto first = std::lower_bound(ranges_.begin(), ranges_.end(), range.begin, ends_before);
    const auto last = std::upper_bound(first, ranges_.end(), range.end, begins_after);
    if (first != last) { // [first, last) touch or overlap the new range
        range.begin = std::min(range.begin, first->begin);
        range.end = std::max(range.end, std::prev(last)->end);
    }
    ranges_.insert(ranges_.erase(first, last), range);
    if (ranges_.size() > capacity_) {
        merge_nearest();
    }
}

void BlockRanges::merge_nearest()
{
    auto left = ranges_.begin();
    for (auto one = ranges_.begin(); std::next(one) != ranges_.end(); ++one) {
        if (std::next(one)->begin - one->end < std::next(left)->begin - left->end) {
            left = one;
        }
    }
    const auto right = std::next(left);
    left->end = right->end;
    ranges_.erase(right);
}

} // namespace pgcleanup::core
