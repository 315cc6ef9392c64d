#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgcleanup::core {

// Block numbers [begin, end) of a relation. PostgreSQL's last valid block is 0xFFFFFFFE, so `end` always fits.
struct BlockRange {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;

    bool operator==(const BlockRange&) const = default;
};

// The range in parts of `most` blocks, in order; the last may be smaller. `most` is at least 1.
std::vector<BlockRange> parts_of(BlockRange range, std::uint32_t most);

// A set of block ranges to visit again, in memory that does not grow with the table.
//
// Everything added stays covered. When more than `capacity` separate ranges would be needed, the two with the smallest
// gap become one, so that some blocks are visited in vain, but none is forgotten. A capacity of zero counts as one.
class BlockRanges {
public:
    explicit BlockRanges(std::size_t capacity);

    // Adds a range; touching and overlapping ranges become one. A range without blocks is ignored.
    void add(BlockRange range);

    void clear() { ranges_.clear(); }

    [[nodiscard]] bool empty() const { return ranges_.empty(); }
    [[nodiscard]] std::size_t size() const { return ranges_.size(); }

    // In block order; neither touching nor overlapping. Adding invalidates iterators.
    [[nodiscard]] auto begin() const { return ranges_.cbegin(); }
    [[nodiscard]] auto end() const { return ranges_.cend(); }

private:
    void merge_nearest();

    std::size_t capacity_;
    std::vector<BlockRange> ranges_;
};

} // namespace pgcleanup::core
