#include "core/batch_sizer.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace pgcleanup::core {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();

// Lets the sizer run batches that take `per_unit` for each unit, and `fixed` besides.
void run_batches(BatchSizer& sizer, int batches, microseconds per_unit, microseconds fixed = microseconds{0})
{
    for (int i = 0; i < batches; ++i) {
        sizer.record(sizer.next(), per_unit * sizer.next() + fixed);
    }
}

TEST(BatchSizer, StartsWithTheInitialSize)
{
    EXPECT_EQ(BatchSizer(seconds{1}, 500, 1, 10'000).next(), 500);
}

TEST(BatchSizer, ClampsTheInitialSize)
{
    EXPECT_EQ(BatchSizer(seconds{1}, 5, 10, 100).next(), 10);
    EXPECT_EQ(BatchSizer(seconds{1}, 500, 10, 100).next(), 100);
}

TEST(BatchSizer, MovesArgumentsIntoTheirDomain)
{
    EXPECT_EQ(BatchSizer(seconds{1}, -7, -5, 100).next(), 1);
    EXPECT_EQ(BatchSizer(seconds{1}, 50, 10, 3).next(), 10);
    EXPECT_EQ(BatchSizer(seconds{1}, smallest, smallest, smallest).next(), 1);

    BatchSizer sizer(microseconds{-5}, 100, 1, 1000);
    sizer.record(100, microseconds{100}); // a microsecond each, and the target became one
    EXPECT_EQ(sizer.next(), 1);
}

TEST(BatchSizer, GrowsAtMostTwofold)
{
    BatchSizer sizer(seconds{1}, 100, 1, 1'000'000);
    sizer.record(100, microseconds{1});
    EXPECT_EQ(sizer.next(), 200);
    sizer.record(200, microseconds{1});
    EXPECT_EQ(sizer.next(), 400);
}

TEST(BatchSizer, GrowsTwofoldUpToTheMaximum)
{
    BatchSizer sizer(seconds{1}, 40, 1, 100);
    sizer.record(40, microseconds{1});
    EXPECT_EQ(sizer.next(), 80);
    sizer.record(80, microseconds{1});
    EXPECT_EQ(sizer.next(), 100);
}

TEST(BatchSizer, GrowsNoFurtherThanTheTarget)
{
    BatchSizer sizer(milliseconds{150}, 100, 1, 1'000'000);
    sizer.record(100, milliseconds{100});
    EXPECT_EQ(sizer.next(), 150);
}

TEST(BatchSizer, ShrinksInProportion)
{
    BatchSizer sizer(seconds{1}, 1000, 1, 1'000'000);
    sizer.record(1000, seconds{10});
    EXPECT_EQ(sizer.next(), 100);
}

TEST(BatchSizer, StaysWhenOnTarget)
{
    BatchSizer sizer(seconds{1}, 1000, 1, 1'000'000);
    sizer.record(1000, seconds{1});
    EXPECT_EQ(sizer.next(), 1000);
}

TEST(BatchSizer, KeepsWithinItsBounds)
{
    BatchSizer sizer(seconds{1}, 100, 50, 150);
    sizer.record(100, microseconds{1});
    EXPECT_EQ(sizer.next(), 150);
    run_batches(sizer, 20, seconds{10});
    EXPECT_EQ(sizer.next(), 50);
}

TEST(BatchSizer, OneOutlierCostsAtMostSixTenthsAndIsForgotten)
{
    BatchSizer sizer(seconds{1}, 1000, 1, 1'000'000);
    run_batches(sizer, 5, milliseconds{1});
    ASSERT_EQ(sizer.next(), 1000);
    sizer.record(1000, std::chrono::hours{24});
    EXPECT_EQ(sizer.next(), 400);
    run_batches(sizer, 5, milliseconds{1});
    EXPECT_GE(sizer.next(), 950);
}

TEST(BatchSizer, ASlowFirstBatchIsForgotten)
{
    BatchSizer sizer(seconds{1}, 1000, 1, 1'000'000);
    sizer.record(1000, seconds{100}); // a cold cache
    EXPECT_EQ(sizer.next(), 10);
    run_batches(sizer, 15, milliseconds{1});
    EXPECT_GE(sizer.next(), 950);
}

TEST(BatchSizer, ALastingSlowdownArrivesQuickly)
{
    BatchSizer sizer(seconds{1}, 10'000, 1, 1'000'000);
    run_batches(sizer, 5, microseconds{100});
    ASSERT_EQ(sizer.next(), 10'000);
    run_batches(sizer, 12, milliseconds{10}); // a hundred times slower
    EXPECT_LE(sizer.next(), 105);
    EXPECT_GE(sizer.next(), 95);
}

TEST(BatchSizer, LeavesRoomForAFixedCost)
{
    BatchSizer sizer(seconds{1}, 100, 1, 1'000'000);
    run_batches(sizer, 60, milliseconds{1}, milliseconds{200});
    EXPECT_NEAR(static_cast<double>(sizer.next()), 800.0, 20.0);
}

TEST(BatchSizer, ABatchWithoutUnitsTeachesNothing)
{
    BatchSizer sizer(seconds{1}, 100, 1, 1000);
    sizer.record(0, seconds{100});
    sizer.record(-5, seconds{100});
    sizer.record(smallest, microseconds::min());
    EXPECT_EQ(sizer.next(), 100);
    sizer.record(100, seconds{2});
    EXPECT_EQ(sizer.next(), 50) << "the next batch is the first that counts";
}

TEST(BatchSizer, DurationsOfZeroOrLessAreSafe)
{
    BatchSizer sizer(seconds{1}, 100, 1, 100'000);
    sizer.record(100, microseconds{0});
    EXPECT_EQ(sizer.next(), 200);
    sizer.record(200, microseconds{-1});
    EXPECT_EQ(sizer.next(), 400);
    sizer.record(400, microseconds::min());
    EXPECT_EQ(sizer.next(), 800);

    BatchSizer impatient(microseconds{10}, 8, 1, 100'000);
    impatient.record(1, microseconds{0});
    EXPECT_EQ(impatient.next(), 10) << "no time at all counts as a microsecond";
}

TEST(BatchSizer, ExtremesDoNotOverflow)
{
    BatchSizer sizer(microseconds::max(), largest / 2 + 1, 1, largest);
    sizer.record(largest, microseconds{1});
    EXPECT_EQ(sizer.next(), largest);
    sizer.record(largest, microseconds{1});
    EXPECT_EQ(sizer.next(), largest);

    BatchSizer exact(microseconds::max(), largest / 2 + 1, 1, largest);
    exact.record(1, microseconds{1}); // affordable is 2^63, one more than int64 holds
    EXPECT_EQ(exact.next(), largest);

    BatchSizer slow(microseconds{1}, largest, 1, largest);
    slow.record(1, microseconds::max());
    EXPECT_EQ(slow.next(), 1);
}

TEST(BatchSizer, ShrinkHalvesDownToTheMinimum)
{
    BatchSizer sizer(seconds{1}, 100, 30, 1000);
    sizer.shrink();
    EXPECT_EQ(sizer.next(), 50);
    sizer.shrink();
    EXPECT_EQ(sizer.next(), 30);
    sizer.shrink();
    EXPECT_EQ(sizer.next(), 30);
}

TEST(BatchSizer, RecoversStepByStepAfterShrinking)
{
    BatchSizer sizer(seconds{1}, 1000, 1, 1'000'000);
    run_batches(sizer, 3, milliseconds{1});
    sizer.shrink();
    sizer.shrink();
    sizer.shrink();
    ASSERT_EQ(sizer.next(), 125);
    run_batches(sizer, 1, milliseconds{1});
    EXPECT_EQ(sizer.next(), 250);
    run_batches(sizer, 2, milliseconds{1});
    EXPECT_EQ(sizer.next(), 1000);
}

TEST(BatchSizer, RandomHistoriesKeepTheContract)
{
    std::mt19937_64 random(test::random_seed());
    for (int history = 0; history < 2000; ++history) {
        const auto minimum = test::pick<std::int64_t>(random, 1, 1000);
        const auto maximum = test::pick<std::int64_t>(random, minimum, largest);
        const microseconds target{test::pick<std::int64_t>(random, 1, 10'000'000)};
        BatchSizer sizer(target, test::pick<std::int64_t>(random, 1, 100'000), minimum, maximum);
        for (int batch = 0; batch < 50; ++batch) {
            const auto before = sizer.next();
            const bool undone = test::pick(random, 0, 9) == 0;
            if (undone) {
                sizer.shrink();
                ASSERT_EQ(sizer.next(), std::max(before / 2, minimum));
            } else {
                const auto exponent = test::pick(random, 0, 62);
                sizer.record(test::pick<std::int64_t>(random, 1, before),
                             microseconds{test::pick<std::int64_t>(random, 0, std::int64_t{1} << exponent)});
            }
            ASSERT_GE(sizer.next(), minimum);
            ASSERT_LE(sizer.next(), maximum);
            ASSERT_LE(sizer.next() / 2, before);
        }
    }
}

TEST(BatchSizer, FindsTheTargetAtAnyCostDespiteNoise)
{
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 300; ++round) {
        const auto per_unit = test::pick<std::int64_t>(random, 10, 5000);
        const double wanted = 1'000'000.0 / static_cast<double>(per_unit);
        BatchSizer sizer(seconds{1}, test::pick<std::int64_t>(random, 1, 1'000'000), 1, 10'000'000);
        for (int batch = 0; batch < 80; ++batch) {
            const auto noisy = per_unit * test::pick<std::int64_t>(random, 90, 110) / 100;
            sizer.record(sizer.next(), microseconds{noisy * sizer.next()});
        }
        ASSERT_GE(static_cast<double>(sizer.next()), wanted * 0.85) << "at " << per_unit << " us a unit";
        ASSERT_LE(static_cast<double>(sizer.next()), wanted * 1.25) << "at " << per_unit << " us a unit";
    }
}

} // namespace
} // namespace pgcleanup::core
