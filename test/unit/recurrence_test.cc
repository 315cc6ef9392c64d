#include "core/recurrence.h"

#include "unit/zones.h"

#include <gtest/gtest.h>

#include <vector>

namespace pgcleanup::core {
namespace {

using namespace std::chrono;

std::vector<Instant> next_ones(const Recurrence& times, Instant after, int count)
{
    std::vector<Instant> found;
    found.reserve(static_cast<std::size_t>(count));
    for (int n = 0; n < count; ++n)
        found.push_back(after = times.next_after(after));
    return found;
}

TEST(InstantOf, OrdinaryTimes)
{
    EXPECT_EQ(instant_of(wall(2026y / 1 / 15, 3h), berlin), at(2026y / 1 / 15, 2h));
    EXPECT_EQ(instant_of(wall(2026y / 7 / 15, 3h), berlin), at(2026y / 7 / 15, 1h));
}

TEST(InstantOf, ASkippedTimeIsTheJump)
{
    for (const microseconds skipped : {microseconds{2h}, microseconds{2h + 30min}, microseconds{3h} - 1us})
        EXPECT_EQ(instant_of(wall(2026y / 3 / 29, skipped), berlin), at(2026y / 3 / 29, 1h));
    EXPECT_EQ(instant_of(wall(2026y / 3 / 29, 2h - 1us), berlin), at(2026y / 3 / 29, 1h - 1us));
    EXPECT_EQ(instant_of(wall(2026y / 3 / 29, 3h), berlin), at(2026y / 3 / 29, 1h));
    EXPECT_EQ(instant_of(wall(2026y / 3 / 29, 4h), berlin), at(2026y / 3 / 29, 2h));
}

TEST(InstantOf, OfARepeatedTimeTheFirst)
{
    EXPECT_EQ(instant_of(wall(2026y / 10 / 25, 2h + 30min), berlin), at(2026y / 10 / 25, 30min));
    EXPECT_EQ(instant_of(wall(2026y / 10 / 25, 2h), berlin), at(2026y / 10 / 25, 0h));
    EXPECT_EQ(instant_of(wall(2026y / 10 / 25, 3h), berlin), at(2026y / 10 / 25, 2h));
}

TEST(InstantOf, ASkippedDayIsTheJump)
{
    EXPECT_EQ(instant_of(wall(2011y / 12 / 30, 3h), samoa), at(2011y / 12 / 30, 10h));
    EXPECT_EQ(instant_of(wall(2011y / 12 / 29, 3h), samoa), at(2011y / 12 / 29, 13h));
    EXPECT_EQ(instant_of(wall(2011y / 12 / 31, 3h), samoa), at(2011y / 12 / 30, 13h));
}

TEST(Daily, TodayOrTomorrow)
{
    const Daily times(3h, utc);
    EXPECT_EQ(times.next_after(at(2026y / 5 / 1, 2h)), at(2026y / 5 / 1, 3h));
    EXPECT_EQ(times.next_after(at(2026y / 5 / 1, 3h)), at(2026y / 5 / 2, 3h)) << "later than, not at";
    EXPECT_EQ(times.next_after(at(2026y / 12 / 31, 4h)), at(2027y / 1 / 1, 3h));
}

TEST(Daily, OnceInTheNightOfSpring)
{
    const Daily times(2h + 30min, berlin);
    const std::vector<Instant> nights = {at(2026y / 3 / 28, 1h + 30min), at(2026y / 3 / 29, 1h),
                                         at(2026y / 3 / 30, 30min)};
    EXPECT_EQ(next_ones(times, at(2026y / 3 / 27, 12h), 3), nights);
}

TEST(Daily, OnceInTheNightOfAutumn)
{
    const Daily times(2h + 30min, berlin);
    const std::vector<Instant> nights = {at(2026y / 10 / 24, 30min), at(2026y / 10 / 25, 30min),
                                         at(2026y / 10 / 26, 1h + 30min)};
    EXPECT_EQ(next_ones(times, at(2026y / 10 / 23, 12h), 3), nights);
}

TEST(Daily, EveryDayOfAYearOnce)
{
    for (const microseconds time : {microseconds{0}, microseconds{2h}, microseconds{2h + 59min}, microseconds{23h}}) {
        const Daily times(time, berlin);
        const Instant start = at(2025y / 12 / 31, 23h + 30min);
        EXPECT_EQ(times.count(start, at(2026y / 12 / 31, 23h + 30min)), 365) << time.count();
        Instant last = start;
        for (const Instant next : next_ones(times, start, 365)) {
            EXPECT_GT(next, last);
            EXPECT_EQ(times.latest(next), next);
            EXPECT_EQ(times.latest(next + 1us), next);
            EXPECT_EQ(times.count(last, next), 1);
            last = next;
        }
    }
}

TEST(Daily, LatestAndCount)
{
    const Daily times(3h, utc);
    EXPECT_EQ(times.latest(at(2026y / 5 / 2, 2h)), at(2026y / 5 / 1, 3h));
    EXPECT_EQ(times.count(at(2026y / 5 / 1, 3h), at(2026y / 5 / 1, 4h)), 0);
    EXPECT_EQ(times.count(at(2026y / 5 / 1, 2h), at(2026y / 5 / 11, 2h)), 10);
    EXPECT_EQ(times.count(at(2026y / 5 / 11, 2h), at(2026y / 5 / 1, 2h)), 0);
}

TEST(Every, CountsFromTheAnchor)
{
    const Every times({0, 0, microseconds{6h}.count()}, at(2026y / 5 / 1, 1h), utc);
    EXPECT_EQ(times.next_after(at(2026y / 5 / 1, 1h)), at(2026y / 5 / 1, 7h));
    EXPECT_EQ(times.next_after(at(2020y / 1 / 1, 0h)), at(2026y / 5 / 1, 7h)) << "nothing before the first";
    EXPECT_EQ(times.count(at(2020y / 1 / 1, 0h), at(2026y / 5 / 1, 6h)), 0);
    EXPECT_EQ(times.count(at(2020y / 1 / 1, 0h), at(2026y / 5 / 2, 1h)), 4);
    EXPECT_EQ(times.latest(at(2026y / 5 / 2, 0h)), at(2026y / 5 / 1, 19h));
}

TEST(Every, HoursPassEvenlyThroughAChangeOfTheClock)
{
    const Every times({0, 0, microseconds{1h}.count()}, at(2026y / 3 / 29, 0h), berlin);
    const std::vector<Instant> hours = {at(2026y / 3 / 29, 1h), at(2026y / 3 / 29, 2h), at(2026y / 3 / 29, 3h)};
    EXPECT_EQ(next_ones(times, at(2026y / 3 / 29, 0h), 3), hours);
}

TEST(Every, DaysGoByTheCalendar)
{
    const Every times({0, 1, 0}, at(2026y / 3 / 28, 11h), berlin); // 12:00
    const std::vector<Instant> noons = {at(2026y / 3 / 29, 10h), at(2026y / 3 / 30, 10h)};
    EXPECT_EQ(next_ones(times, at(2026y / 3 / 28, 11h), 2), noons);
}

TEST(Every, MonthsEndWithTheMonth)
{
    const Every times({1, 0, 0}, at(2027y / 12 / 31, 5h), utc);
    const std::vector<Instant> ends = {at(2028y / 1 / 31, 5h), at(2028y / 2 / 29, 5h), at(2028y / 3 / 31, 5h),
                                       at(2028y / 4 / 30, 5h)};
    EXPECT_EQ(next_ones(times, at(2027y / 12 / 31, 5h), 4), ends);
}

TEST(Every, ManyYearsOfMinutesAreFoundAtOnce)
{
    const Every times({0, 0, microseconds{1min}.count()}, at(2000y / 1 / 1, 0h), utc);
    EXPECT_EQ(times.next_after(at(2100y / 1 / 1, 30s)), at(2100y / 1 / 1, 1min));
}

TEST(CheckEvery, Bounds)
{
    EXPECT_EQ(check_every({0, 0, microseconds{1min}.count()}), EveryCheck::ok);
    EXPECT_EQ(check_every({0, 0, microseconds{1min}.count() - 1}), EveryCheck::too_short);
    EXPECT_EQ(check_every({}), EveryCheck::too_short);
    EXPECT_EQ(check_every({0, 0, -1}), EveryCheck::negative);
    EXPECT_EQ(check_every({1, -1, 0}), EveryCheck::negative);
    EXPECT_EQ(check_every({120, 0, 0}), EveryCheck::ok);
    EXPECT_EQ(check_every({120, 1, 0}), EveryCheck::too_long);
    EXPECT_EQ(check_every({INT32_MAX, INT32_MAX, INT64_MAX}), EveryCheck::too_long);
}

} // namespace
} // namespace pgcleanup::core
