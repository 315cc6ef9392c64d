#include "core/schedule_decision.h"

#include "unit/zones.h"

#include <gtest/gtest.h>

namespace pgcleanup::core {
namespace {

using namespace std::chrono;

constexpr RunWindow night{22h, 6h};
const Instant long_ago = at(2026y / 1 / 1, 0h);

// A schedule at 03:00 UTC.
ScheduleDecision at_three(const ScheduleState& state, const ScheduleContext& context,
                          const std::optional<RunWindow>& window = std::nullopt)
{
    return decide(Daily(3h, utc), window, utc, state, context);
}

TEST(Decide, WaitsForTheNextTime)
{
    const ScheduleDecision decision = at_three({at(2026y / 5 / 1, 3h)}, {at(2026y / 5 / 1, 12h), long_ago});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 2, 3h));
    EXPECT_EQ(decision.missed, 0);
}

TEST(Decide, IsDueOnTime)
{
    const Instant now = at(2026y / 5 / 2, 3h);
    const ScheduleDecision decision = at_three({at(2026y / 5 / 1, 3h)}, {now, long_ago});
    EXPECT_EQ(decision.starts_at, now);
    EXPECT_EQ(decision.due, now);
}

TEST(Decide, LateIsNotMissedWhileSomebodyWatched)
{
    const ScheduleDecision decision = at_three({at(2026y / 5 / 1, 3h)}, {at(2026y / 5 / 2, 9h), long_ago});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 2, 9h));
    EXPECT_EQ(decision.due, at(2026y / 5 / 2, 3h));
}

TEST(Decide, AJumpOverSeveralTimesRunsOnce)
{
    const ScheduleDecision decision = at_three({at(2026y / 5 / 1, 3h)}, {at(2026y / 5 / 5, 9h), long_ago});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 5, 9h));
    EXPECT_EQ(decision.due, at(2026y / 5 / 5, 3h));
    EXPECT_EQ(decision.missed, 3);
}

TEST(Decide, DownAtThatTime)
{
    ScheduleContext context{at(2026y / 5 / 3, 9h), at(2026y / 5 / 3, 8h)};
    ScheduleDecision decision = at_three({at(2026y / 5 / 1, 3h)}, context);
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 4, 3h)) << "missed";
    EXPECT_EQ(decision.missed, 2);
    EXPECT_EQ(decision.handled_until, at(2026y / 5 / 3, 3h));
    context.catch_up = true;
    decision = at_three({at(2026y / 5 / 1, 3h)}, context);
    EXPECT_EQ(decision.starts_at, context.now) << "made up, once";
    EXPECT_EQ(decision.due, at(2026y / 5 / 3, 3h));
    EXPECT_EQ(decision.missed, 1);
}

TEST(Decide, AMomentWithoutAWatcherIsForgiven)
{
    const ScheduleContext context{at(2026y / 5 / 2, 3h + 40s), at(2026y / 5 / 2, 3h + 30s)};
    EXPECT_EQ(at_three({at(2026y / 5 / 1, 3h)}, context).starts_at, context.now);
}

TEST(Decide, WhatWasMissedIsCountedOnce)
{
    const ScheduleContext context{at(2026y / 5 / 3, 9h), at(2026y / 5 / 3, 8h)};
    const ScheduleDecision first = at_three({at(2026y / 5 / 1, 3h)}, context);
    const ScheduleDecision second = at_three({first.handled_until}, context);
    EXPECT_EQ(second.missed, 0);
    EXPECT_EQ(second.starts_at, first.starts_at);
}

TEST(Decide, WaitsForItsWindow)
{
    const Every hourly({0, 0, microseconds{1h}.count()}, long_ago, utc);
    const ScheduleDecision decision =
        decide(hourly, night, utc, {at(2026y / 5 / 1, 6h)}, {at(2026y / 5 / 1, 12h), long_ago});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 1, 22h));
    EXPECT_EQ(decision.due, at(2026y / 5 / 1, 12h));
}

TEST(Decide, ARestartWhileItWaitsForItsWindowLosesNothing)
{
    const ScheduleState state{at(2026y / 4 / 30, 12h)};
    const Daily noon(12h, utc);
    const ScheduleDecision decision = decide(noon, night, utc, state, {at(2026y / 5 / 1, 15h), at(2026y / 5 / 1, 14h)});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 1, 22h));
    EXPECT_EQ(decision.missed, 0);
    EXPECT_EQ(decide(noon, night, utc, state, {at(2026y / 5 / 1, 23h), at(2026y / 5 / 1, 22h + 30min)}).missed, 1)
        << "down when it opened";
}

TEST(Decide, AnUnfinishedRunGoesOnInTheNextWindow)
{
    const ScheduleState stopped{at(2026y / 5 / 1, 6h), true};
    EXPECT_EQ(at_three(stopped, {at(2026y / 5 / 1, 7h), long_ago}, night).starts_at, at(2026y / 5 / 1, 22h));
    EXPECT_EQ(at_three(stopped, {at(2026y / 5 / 1, 22h), long_ago}, night).due, std::nullopt);
    EXPECT_EQ(at_three(stopped, {at(2026y / 5 / 1, 7h), long_ago}).starts_at, at(2026y / 5 / 1, 7h))
        << "without a window at once";
}

TEST(Decide, AClockThatWasSetBackRunsNothingTwice)
{
    const ScheduleDecision decision = at_three({at(2026y / 5 / 2, 3h)}, {at(2026y / 5 / 2, 2h), long_ago});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 3, 3h));
}

TEST(Decide, AStateFromAWrongClockIsNotBelieved)
{
    const ScheduleDecision decision = at_three({at(2027y / 5 / 2, 3h)}, {at(2026y / 5 / 2, 2h), long_ago});
    EXPECT_EQ(decision.starts_at, at(2026y / 5 / 2, 3h));
}

} // namespace
} // namespace pgcleanup::core
