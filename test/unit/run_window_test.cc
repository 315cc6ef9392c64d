#include "core/run_window.h"

#include "unit/zones.h"

#include <gtest/gtest.h>

namespace pgcleanup::core {
namespace {

using namespace std::chrono;

TEST(ParseRunWindow, AcceptsTimes)
{
    EXPECT_EQ(parse_run_window("22:00-06:00"), (RunWindow{22h, 6h}));
    EXPECT_EQ(parse_run_window(" 1:30 - 4:05 "), (RunWindow{90min, 4h + 5min}));
    EXPECT_EQ(parse_run_window("00:00-24:00"), std::nullopt) << "the whole day is no window";
    EXPECT_EQ(parse_run_window("12:00-24:00"), (RunWindow{12h, 24h}));
    EXPECT_EQ(parse_run_window("24:00-06:00"), (RunWindow{0h, 6h}));
}

TEST(ParseRunWindow, RefusesEverythingElse)
{
    for (const char* text : {"", "-", "22:00", "22:00-", "-06:00", "22-06", "22:00-06:60", "25:00-06:00", "24:01-06:00",
                             "22:00-22:00", "22:0-06:00", "22:000-06:00", "a2:00-06:00", "+2:00-06:00",
                             "22:00-06:00-07:00", "022:00-06:00", "22:00 06:00", "22:00--6:00"})
        EXPECT_EQ(parse_run_window(text), std::nullopt) << text;
}

TEST(RunWindow, OpensAndCloses)
{
    const RunWindow day{9h, 17h};
    EXPECT_EQ(window_opening(day, at(2026y / 5 / 1, 8h), utc), at(2026y / 5 / 1, 9h));
    EXPECT_EQ(window_opening(day, at(2026y / 5 / 1, 9h), utc), at(2026y / 5 / 1, 9h));
    EXPECT_EQ(window_opening(day, at(2026y / 5 / 1, 12h), utc), at(2026y / 5 / 1, 12h)) << "already open";
    EXPECT_EQ(window_opening(day, at(2026y / 5 / 1, 17h), utc), at(2026y / 5 / 2, 9h)) << "closed at its end";
    EXPECT_EQ(window_closing(day, at(2026y / 5 / 1, 9h), utc), at(2026y / 5 / 1, 17h));
    EXPECT_EQ(window_closing(day, at(2026y / 5 / 1, 17h), utc), at(2026y / 5 / 1, 17h)) << "not inside";
}

TEST(RunWindow, AcrossMidnight)
{
    const RunWindow night{22h, 6h};
    EXPECT_EQ(window_opening(night, at(2026y / 5 / 1, 5h), utc), at(2026y / 5 / 1, 5h));
    EXPECT_EQ(window_opening(night, at(2026y / 5 / 1, 6h), utc), at(2026y / 5 / 1, 22h));
    EXPECT_EQ(window_closing(night, at(2026y / 5 / 1, 5h), utc), at(2026y / 5 / 1, 6h));
    EXPECT_EQ(window_closing(night, at(2026y / 5 / 1, 23h), utc), at(2026y / 5 / 2, 6h));
}

TEST(RunWindow, ByTheWallClock)
{
    const RunWindow night{22h, 6h};
    EXPECT_EQ(window_opening(night, at(2026y / 1 / 1, 20h), berlin), at(2026y / 1 / 1, 21h));
    EXPECT_EQ(window_opening(night, at(2026y / 7 / 1, 19h), berlin), at(2026y / 7 / 1, 20h));
    EXPECT_EQ(window_closing(night, at(2026y / 3 / 28, 22h), berlin), at(2026y / 3 / 29, 4h)) << "an hour less";
    EXPECT_EQ(window_closing(night, at(2026y / 10 / 24, 22h), berlin), at(2026y / 10 / 25, 5h)) << "an hour more";
}

TEST(RunWindow, ClosesOnceInTheRepeatedHour)
{
    const RunWindow night{22h, 2h + 30min};
    EXPECT_EQ(window_closing(night, at(2026y / 10 / 24, 22h), berlin), at(2026y / 10 / 25, 30min));
    EXPECT_EQ(window_opening(night, at(2026y / 10 / 25, 1h + 10min), berlin), at(2026y / 10 / 25, 21h))
        << "02:10 for the second time is outside";
}

TEST(RunWindow, SwallowedByTheClock)
{
    const RunWindow short_one{2h + 10min, 2h + 50min};
    EXPECT_EQ(window_opening(short_one, at(2026y / 3 / 29, 0h), berlin), at(2026y / 3 / 30, 10min));
}

} // namespace
} // namespace pgcleanup::core
