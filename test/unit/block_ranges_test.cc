#include "core/block_ranges.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace pgcleanup::core {
namespace {

using List = std::vector<BlockRange>;

constexpr std::uint32_t no_block = std::numeric_limits<std::uint32_t>::max();

List list(const BlockRanges& ranges)
{
    return {ranges.begin(), ranges.end()};
}

BlockRanges filled(std::size_t capacity, const List& added)
{
    BlockRanges ranges(capacity);
    for (const BlockRange one : added) {
        ranges.add(one);
    }
    return ranges;
}

TEST(BlockRanges, PartsCoverTheRangeInOrder)
{
    EXPECT_EQ(parts_of({5, 5}, 4), List{});
    EXPECT_EQ(parts_of({5, 9}, 4), (List{{5, 9}}));
    EXPECT_EQ(parts_of({5, 14}, 4), (List{{5, 9}, {9, 13}, {13, 14}}));
}

TEST(BlockRanges, PartsEndWithTheLastBlockOfAll)
{
    EXPECT_EQ(parts_of({no_block - 5, no_block}, 4), (List{{no_block - 5, no_block - 1}, {no_block - 1, no_block}}));
}

TEST(BlockRanges, BeginsEmpty)
{
    const BlockRanges ranges(4);
    EXPECT_TRUE(ranges.empty());
    EXPECT_EQ(ranges.size(), 0U);
    EXPECT_EQ(ranges.begin(), ranges.end());
}

TEST(BlockRanges, KeepsBlockOrder)
{
    EXPECT_EQ(list(filled(4, {{20, 30}, {0, 5}, {40, 41}})), (List{{0, 5}, {20, 30}, {40, 41}}));
}

TEST(BlockRanges, MergesTouchingRanges)
{
    EXPECT_EQ(list(filled(4, {{0, 5}, {5, 10}})), (List{{0, 10}}));
    EXPECT_EQ(list(filled(4, {{5, 10}, {0, 5}})), (List{{0, 10}}));
    EXPECT_EQ(list(filled(4, {{0, 5}, {10, 15}, {5, 10}})), (List{{0, 15}}));
}

TEST(BlockRanges, DoesNotMergeAcrossAGap)
{
    EXPECT_EQ(list(filled(4, {{0, 5}, {6, 10}})), (List{{0, 5}, {6, 10}}));
}

TEST(BlockRanges, MergesOverlappingRanges)
{
    EXPECT_EQ(list(filled(4, {{0, 6}, {4, 10}})), (List{{0, 10}}));
    EXPECT_EQ(list(filled(4, {{4, 10}, {0, 6}})), (List{{0, 10}}));
    EXPECT_EQ(list(filled(4, {{0, 10}, {3, 4}})), (List{{0, 10}})) << "inside";
    EXPECT_EQ(list(filled(4, {{3, 4}, {0, 10}})), (List{{0, 10}})) << "around";
    EXPECT_EQ(list(filled(4, {{0, 10}, {0, 10}})), (List{{0, 10}})) << "the same again";
    EXPECT_EQ(list(filled(9, {{0, 2}, {4, 6}, {8, 10}, {20, 21}, {1, 9}})), (List{{0, 10}, {20, 21}})) << "several";
}

TEST(BlockRanges, IgnoresRangesWithoutBlocks)
{
    EXPECT_TRUE(filled(4, {{5, 5}, {7, 3}, {no_block, 0}}).empty());
    EXPECT_EQ(list(filled(4, {{0, 5}, {7, 7}})), (List{{0, 5}}));
}

TEST(BlockRanges, MergesTheNearestWhenFull)
{
    EXPECT_EQ(list(filled(3, {{0, 1}, {100, 101}, {110, 111}, {300, 301}})), (List{{0, 1}, {100, 111}, {300, 301}}));
    EXPECT_EQ(list(filled(3, {{0, 1}, {5, 6}, {100, 101}, {300, 301}})), (List{{0, 6}, {100, 101}, {300, 301}}))
        << "the first two";
    EXPECT_EQ(list(filled(3, {{0, 1}, {100, 101}, {300, 301}, {305, 306}})), (List{{0, 1}, {100, 101}, {300, 306}}))
        << "the last two";
}

TEST(BlockRanges, DoesNotMergeBelowItsCapacity)
{
    EXPECT_EQ(filled(3, {{0, 1}, {2, 3}, {4, 5}}).size(), 3U);
}

TEST(BlockRanges, ACapacityOfOneCoversEverything)
{
    EXPECT_EQ(list(filled(1, {{50, 60}, {0, 1}, {70, 80}})), (List{{0, 80}}));
    EXPECT_EQ(list(filled(0, {{50, 60}, {0, 1}})), (List{{0, 60}})) << "zero counts as one";
}

TEST(BlockRanges, HoldsTheLastBlock)
{
    EXPECT_EQ(list(filled(2, {{no_block - 1, no_block}, {0, 1}})), (List{{0, 1}, {no_block - 1, no_block}}));
    EXPECT_EQ(list(filled(2, {{0, no_block}, {5, 6}})), (List{{0, no_block}}));
    EXPECT_EQ(list(filled(1, {{no_block - 1, no_block}, {0, 1}})), (List{{0, no_block}}));
}

TEST(BlockRanges, ClearEmpties)
{
    BlockRanges ranges = filled(4, {{0, 5}});
    ranges.clear();
    EXPECT_TRUE(ranges.empty());
    ranges.add({7, 8});
    EXPECT_EQ(list(ranges), (List{{7, 8}}));
}

// Sorted, apart from each other, within the capacity.
void expect_well_formed(const BlockRanges& ranges, std::size_t capacity)
{
    ASSERT_LE(ranges.size(), capacity);
    std::uint64_t earliest = 0;
    for (const BlockRange one : ranges) {
        ASSERT_GE(one.begin, earliest);
        ASSERT_LT(one.begin, one.end);
        earliest = std::uint64_t{one.end} + 1;
    }
}

std::vector<bool> covered(const BlockRanges& ranges, std::size_t blocks)
{
    std::vector<bool> result(blocks);
    for (const BlockRange one : ranges) {
        std::fill(result.begin() + one.begin, result.begin() + one.end, true);
    }
    return result;
}

TEST(BlockRanges, RandomAdditionsForgetNoBlock)
{
    constexpr std::uint32_t blocks = 200;
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 1000; ++round) {
        const auto capacity = test::pick<std::size_t>(random, 1, 20);
        BlockRanges ranges(capacity);
        BlockRanges unbounded(blocks);
        for (int i = 0; i < 40; ++i) {
            const auto begin = test::pick<std::uint32_t>(random, 0, blocks);
            const BlockRange one{begin, std::min(blocks, begin + test::pick<std::uint32_t>(random, 0, 8))};
            ranges.add(one);
            unbounded.add(one);
            expect_well_formed(ranges, capacity);
        }
        const auto exact = covered(unbounded, blocks);
        const auto actual = covered(ranges, blocks);
        for (std::size_t block = 0; block < blocks; ++block) {
            ASSERT_TRUE(actual[block] || !exact[block]) << "block " << block << " was forgotten";
        }
    }
}

TEST(BlockRanges, RandomAdditionsAreExactWhileThereIsRoom)
{
    constexpr std::uint32_t blocks = 200;
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 1000; ++round) {
        BlockRanges ranges(blocks);
        std::vector<bool> model(blocks);
        for (int i = 0; i < 40; ++i) {
            const auto begin = test::pick<std::uint32_t>(random, 0, blocks - 1);
            const auto end = std::min(blocks, begin + test::pick<std::uint32_t>(random, 0, 8));
            ranges.add({begin, end});
            std::fill(model.begin() + begin, model.begin() + end, true);
        }
        expect_well_formed(ranges, blocks);
        ASSERT_EQ(covered(ranges, blocks), model);
    }
}

} // namespace
} // namespace pgcleanup::core
