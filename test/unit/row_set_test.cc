#include "core/row_set.h"

#include <gtest/gtest.h>

namespace pgcleanup::core {
namespace {

constexpr std::uint32_t table = 7;

TEST(RowSet, RowsComeBackBlockByBlockInTheirOrder)
{
    RowSet set;
    for (const std::uint16_t offset : {1279, 1, 320, 64, 63, 319, 640}) {
        EXPECT_TRUE(set.add({table, 5, offset}));
    }
    set.add({table, 4'000'000'000U, 2});
    set.add({table, 0, 3});
    set.add({table + 1, 1, 1});
    EXPECT_EQ(set.blocks(table), (std::vector<std::uint32_t>{0, 5, 4'000'000'000U}));
    std::vector<std::uint16_t> offsets;
    for (const RowPlace& row : set.rows(table, 5)) {
        EXPECT_EQ(row.table, table);
        EXPECT_EQ(row.block, 5U);
        offsets.push_back(row.offset);
    }
    EXPECT_EQ(offsets, (std::vector<std::uint16_t>{1, 63, 64, 319, 320, 640, 1279}));
    EXPECT_TRUE(set.rows(table, 6).empty());
    EXPECT_TRUE(set.blocks(table + 2).empty());
}

} // namespace
} // namespace pgcleanup::core
