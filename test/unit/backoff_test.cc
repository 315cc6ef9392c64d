#include "core/backoff.h"

#include <gtest/gtest.h>

#include <limits>

namespace pgcleanup::core {
namespace {

using std::chrono::milliseconds;

constexpr int unlimited = std::numeric_limits<int>::max();

TEST(Backoff, DoublesUpToTheMaximum)
{
    Backoff backoff(milliseconds{100}, milliseconds{500}, 5);
    EXPECT_EQ(backoff.next(), milliseconds{100});
    EXPECT_EQ(backoff.next(), milliseconds{200});
    EXPECT_EQ(backoff.next(), milliseconds{400});
    EXPECT_EQ(backoff.next(), milliseconds{500});
    EXPECT_EQ(backoff.next(), milliseconds{500});
}

TEST(Backoff, ReachesAMaximumThatIsAnExactDouble)
{
    Backoff backoff(milliseconds{100}, milliseconds{400}, 4);
    backoff.next();
    EXPECT_EQ(backoff.next(), milliseconds{200});
    EXPECT_EQ(backoff.next(), milliseconds{400});
    EXPECT_EQ(backoff.next(), milliseconds{400});
}

TEST(Backoff, IsUsedUpAfterItsAttempts)
{
    Backoff backoff(milliseconds{1}, milliseconds{10}, 2);
    EXPECT_TRUE(backoff.next().has_value());
    EXPECT_TRUE(backoff.next().has_value());
    EXPECT_FALSE(backoff.next().has_value());
    EXPECT_FALSE(backoff.next().has_value());
}

TEST(Backoff, AllowsNoAttemptWhenTheLimitIsZeroOrLess)
{
    EXPECT_FALSE(Backoff(milliseconds{1}, milliseconds{10}, 0).next().has_value());
    EXPECT_FALSE(Backoff(milliseconds{1}, milliseconds{10}, -3).next().has_value());
    EXPECT_FALSE(Backoff(milliseconds{1}, milliseconds{10}, std::numeric_limits<int>::min()).next().has_value());
}

TEST(Backoff, ResetGivesBackDelayAndAttempts)
{
    Backoff backoff(milliseconds{100}, milliseconds{1000}, 3);
    while (backoff.next()) {
    }
    backoff.reset();
    EXPECT_EQ(backoff.next(), milliseconds{100});
    EXPECT_EQ(backoff.next(), milliseconds{200});
    EXPECT_EQ(backoff.next(), milliseconds{400});
    EXPECT_FALSE(backoff.next().has_value());
}

TEST(Backoff, MovesDelaysIntoTheirDomain)
{
    EXPECT_EQ(Backoff(milliseconds{0}, milliseconds{10}, 1).next(), milliseconds{1});
    EXPECT_EQ(Backoff(milliseconds{-5}, milliseconds{10}, 1).next(), milliseconds{1});
    EXPECT_EQ(Backoff(milliseconds{50}, milliseconds{10}, 1).next(), milliseconds{10});
    EXPECT_EQ(Backoff(milliseconds{50}, milliseconds{-10}, 1).next(), milliseconds{1});
    EXPECT_EQ(Backoff(milliseconds::min(), milliseconds::min(), 1).next(), milliseconds{1});
}

TEST(Backoff, NeverOverflowsNorDecreases)
{
    Backoff backoff(milliseconds{1}, milliseconds::max(), unlimited);
    milliseconds last{0};
    for (int i = 0; i < 200; ++i) {
        const auto delay = backoff.next();
        ASSERT_TRUE(delay.has_value());
        ASSERT_GE(*delay, last);
        ASSERT_GT(*delay, milliseconds{0});
        last = *delay;
    }
    EXPECT_EQ(last, milliseconds::max());
}

} // namespace
} // namespace pgcleanup::core
