#include "core/restore_order.h"

#include "random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace pgcleanup::core {
namespace {

using Groups = std::vector<std::vector<std::size_t>>;
using Needs = std::vector<std::pair<std::size_t, std::size_t>>;

TEST(RestoreOrder, NothingNeedsNothing)
{
    EXPECT_EQ(restore_order(0, {}), Groups());
    EXPECT_EQ(restore_order(3, {}), (Groups{{0}, {1}, {2}}));
}

TEST(RestoreOrder, WhatIsNeededComesFirst)
{
    EXPECT_EQ(restore_order(3, {{0, 1}, {1, 2}}), (Groups{{2}, {1}, {0}}));
}

TEST(RestoreOrder, CirclesComeTogether)
{
    EXPECT_EQ(restore_order(4, {{0, 1}, {1, 2}, {2, 0}, {0, 3}}), (Groups{{3}, {0, 1, 2}}));
    EXPECT_EQ(restore_order(2, {{0, 0}, {1, 0}, {1, 0}}), (Groups{{0}, {1}}));
}

TEST(RestoreOrder, ALongChainNeedsNoStack)
{
    constexpr std::size_t rows = 1'000'000;
    Needs needs;
    for (std::size_t row = 0; row + 1 < rows; ++row)
        needs.emplace_back(row, row + 1);
    const Groups groups = restore_order(rows, needs);
    ASSERT_EQ(groups.size(), rows);
    EXPECT_EQ(groups.front().front(), rows - 1);
}

// Reachability by brute force says what belongs together, and what must come before what.
TEST(RestoreOrder, RandomGraphs)
{
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 2000; ++round) {
        const std::size_t rows = 1 + random() % 8;
        Needs needs;
        for (std::size_t edge = random() % 14; edge > 0; --edge)
            needs.emplace_back(random() % rows, random() % rows);
        std::vector<std::vector<bool>> reaches(rows, std::vector<bool>(rows));
        for (const auto& [row, other] : needs)
            reaches[row][other] = true;
        for (std::size_t k = 0; k < rows; ++k)
            for (std::size_t i = 0; i < rows; ++i)
                for (std::size_t j = 0; j < rows; ++j)
                    if (reaches[i][k] && reaches[k][j])
                        reaches[i][j] = true;
        const Groups groups = restore_order(rows, needs);
        std::vector<std::size_t> group_of(rows, rows);
        for (std::size_t group = 0; group < groups.size(); ++group)
            for (const std::size_t row : groups[group]) {
                ASSERT_EQ(group_of[row], rows) << "a row twice";
                group_of[row] = group;
            }
        for (std::size_t i = 0; i < rows; ++i) {
            ASSERT_LT(group_of[i], rows) << "a row is missing";
            for (std::size_t j = 0; j < rows; ++j) {
                if (i != j) {
                    EXPECT_EQ(group_of[i] == group_of[j], reaches[i][j] && reaches[j][i]);
                }
                if (reaches[i][j]) {
                    EXPECT_GE(group_of[i], group_of[j]);
                }
            }
        }
    }
}

} // namespace
} // namespace pgcleanup::core
