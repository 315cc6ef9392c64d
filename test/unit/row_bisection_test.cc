#include "core/row_bisection.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

namespace pgcleanup::core {
namespace {

using Range = RowBisection::Range;
using Rows = std::vector<std::size_t>;

constexpr std::size_t no_cap = std::numeric_limits<std::size_t>::max();

// What became of a batch in which exactly the rows of `bad` fail.
struct Outcome {
    std::vector<bool> done;
    int attempts = 0;
};

Outcome run(RowBisection& work, std::size_t rows, const std::set<std::size_t>& bad)
{
    Outcome outcome{std::vector<bool>(rows), 0};
    while (const auto range = work.next()) {
        ++outcome.attempts;
        const auto first_bad = bad.lower_bound(range->begin);
        if (first_bad != bad.end() && *first_bad < range->end) {
            work.failed();
            continue;
        }
        for (std::size_t row = range->begin; row < range->end; ++row) {
            EXPECT_FALSE(outcome.done[row]) << "row " << row << " was done twice";
            outcome.done[row] = true;
        }
        work.succeeded();
    }
    return outcome;
}

TEST(RowBisection, HasNothingToDoWithoutRows)
{
    RowBisection work(0, 10);
    EXPECT_FALSE(work.next().has_value());
    EXPECT_FALSE(work.gave_up());
    EXPECT_TRUE(work.remaining().empty());
}

TEST(RowBisection, BeginsWithAllRows)
{
    RowBisection work(8, 10);
    EXPECT_EQ(work.next(), (Range{0, 8}));
    EXPECT_EQ(work.next(), (Range{0, 8})) << "asking changes nothing";
    work.succeeded();
    EXPECT_FALSE(work.next().has_value());
    EXPECT_TRUE(work.failed_rows().empty());
}

TEST(RowBisection, HalvesInAscendingOrder)
{
    RowBisection work(5, 10);
    work.failed();
    EXPECT_EQ(work.next(), (Range{0, 2}));
    work.succeeded();
    EXPECT_EQ(work.next(), (Range{2, 5}));
    work.failed();
    EXPECT_EQ(work.next(), (Range{2, 3}));
    EXPECT_EQ(work.remaining(), (std::vector{Range{2, 3}, Range{3, 5}}));
}

TEST(RowBisection, IsolatesASingleRow)
{
    RowBisection work(1, 10);
    work.failed();
    EXPECT_FALSE(work.next().has_value());
    EXPECT_EQ(work.failed_rows(), Rows{0});
    EXPECT_FALSE(work.gave_up());
}

TEST(RowBisection, FindsTheBadRowsAndDoesAllOthers)
{
    RowBisection work(100, 10);
    const Outcome outcome = run(work, 100, {0, 41, 42, 99});
    EXPECT_EQ(work.failed_rows(), (Rows{0, 41, 42, 99}));
    EXPECT_EQ(std::count(outcome.done.begin(), outcome.done.end(), true), 96);
    EXPECT_FALSE(work.gave_up());
    EXPECT_TRUE(work.remaining().empty());
}

TEST(RowBisection, FindsOneBadRowInTwoAttemptsPerHalving)
{
    constexpr std::size_t rows = 1024;
    for (const std::size_t bad : {std::size_t{0}, std::size_t{511}, rows - 1}) {
        RowBisection work(rows, 10);
        EXPECT_EQ(run(work, rows, {bad}).attempts, 21);
    }
}

TEST(RowBisection, AFailureThatDoesNotRepeatIsolatesNothing)
{
    RowBisection work(4, 10);
    work.failed(); // a deadlock, say
    work.succeeded();
    work.succeeded();
    EXPECT_FALSE(work.next().has_value());
    EXPECT_TRUE(work.failed_rows().empty());
}

TEST(RowBisection, GivesUpAtTheCapAndListsWhatIsLeft)
{
    RowBisection work(8, 2);
    const Outcome outcome = run(work, 8, {0, 1, 2, 3, 4, 5, 6, 7});
    EXPECT_EQ(work.failed_rows(), (Rows{0, 1}));
    EXPECT_TRUE(work.gave_up());
    EXPECT_FALSE(work.next().has_value());
    EXPECT_EQ(work.remaining(), (std::vector{Range{2, 4}, Range{4, 8}}));
    EXPECT_EQ(std::count(outcome.done.begin(), outcome.done.end(), true), 0);
}

TEST(RowBisection, DidNotGiveUpWhenTheLastFailureWasTheLastRow)
{
    RowBisection work(4, 1);
    run(work, 4, {3});
    EXPECT_EQ(work.failed_rows(), Rows{3});
    EXPECT_FALSE(work.gave_up()) << "every row is decided";
    EXPECT_TRUE(work.remaining().empty());
}

TEST(RowBisection, ReportsAfterTheEndChangeNothing)
{
    RowBisection work(4, 1);
    run(work, 4, {0});
    ASSERT_TRUE(work.gave_up());
    const auto left = work.remaining();
    work.succeeded();
    work.failed();
    EXPECT_EQ(work.remaining(), left);
    EXPECT_EQ(work.failed_rows(), Rows{0});

    RowBisection nothing(0, 1);
    nothing.succeeded();
    nothing.failed();
    EXPECT_TRUE(nothing.failed_rows().empty());
}

TEST(RowBisection, ACapOfZeroCountsAsOne)
{
    RowBisection work(2, 0);
    EXPECT_TRUE(work.next().has_value());
    run(work, 2, {0, 1});
    EXPECT_EQ(work.failed_rows(), Rows{0});
    EXPECT_TRUE(work.gave_up());
}

TEST(RowBisection, HugeBatchesDoNotOverflow)
{
    RowBisection work(no_cap, 1);
    int attempts = 0;
    for (; work.next(); ++attempts) {
        work.failed();
    }
    EXPECT_EQ(attempts, 64);
    EXPECT_EQ(work.failed_rows(), Rows{0});
    EXPECT_LE(work.remaining().size(), 64U);
    EXPECT_EQ(work.remaining().back().end, no_cap);
}

// Decided and remaining rows together are all rows, each exactly once.
void expect_nothing_lost(const RowBisection& work, const Outcome& outcome, const std::set<std::size_t>& bad)
{
    std::vector<int> seen(outcome.done.size());
    for (std::size_t row = 0; row < seen.size(); ++row) {
        seen[row] += outcome.done[row] ? 1 : 0;
    }
    for (const std::size_t row : work.failed_rows()) {
        ASSERT_TRUE(bad.contains(row));
        ++seen[row];
    }
    for (const Range range : work.remaining()) {
        for (std::size_t row = range.begin; row < range.end; ++row) {
            ++seen[row];
        }
    }
    ASSERT_EQ(seen, std::vector<int>(seen.size(), 1));
}

TEST(RowBisection, RandomBatchesLoseNoRow)
{
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 2000; ++round) {
        const auto rows = test::pick<std::size_t>(random, 1, 300);
        const auto cap = test::pick<std::size_t>(random, 1, 12);
        std::set<std::size_t> bad;
        for (int i = test::pick(random, 0, 15); i > 0; --i) {
            bad.insert(test::pick<std::size_t>(random, 0, rows - 1));
        }
        RowBisection work(rows, cap);
        const Outcome outcome = run(work, rows, bad);
        expect_nothing_lost(work, outcome, bad);
        ASSERT_EQ(work.failed_rows().size(), std::min(cap, bad.size()));
        ASSERT_EQ(work.gave_up(), !work.remaining().empty());
        ASSERT_TRUE(std::is_sorted(work.failed_rows().begin(), work.failed_rows().end()));
        const std::size_t depth = std::bit_width(rows) + 1;
        ASSERT_LE(static_cast<std::size_t>(outcome.attempts), 1 + 2 * depth * bad.size());
    }
}

} // namespace
} // namespace pgcleanup::core
