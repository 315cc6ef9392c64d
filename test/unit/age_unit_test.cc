#include "core/age_unit.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace pgcleanup::core {
namespace {

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();
constexpr std::array all_units = {AgeUnit::s, AgeUnit::ms, AgeUnit::us, AgeUnit::ns};

TEST(AgeUnit, ParsesItsFourNames)
{
    EXPECT_EQ(parse_age_unit("s"), AgeUnit::s);
    EXPECT_EQ(parse_age_unit("ms"), AgeUnit::ms);
    EXPECT_EQ(parse_age_unit("us"), AgeUnit::us);
    EXPECT_EQ(parse_age_unit("ns"), AgeUnit::ns);
}

TEST(AgeUnit, ParsesNothingElse)
{
    for (const auto* text : {"", "S", "Ms", "sec", "seconds", "m", "n", " s", "s ", "mss", "µs"}) {
        EXPECT_FALSE(parse_age_unit(text).has_value()) << text;
    }
    EXPECT_FALSE(parse_age_unit(std::string_view("s\0", 2)).has_value());
}

TEST(AgeUnit, ConvertsATime)
{
    constexpr std::int64_t time = 1'700'000'000'123'456;
    EXPECT_EQ(to_unit(time, AgeUnit::s), 1'700'000'000);
    EXPECT_EQ(to_unit(time, AgeUnit::ms), 1'700'000'000'123);
    EXPECT_EQ(to_unit(time, AgeUnit::us), time);
    EXPECT_EQ(to_unit(time, AgeUnit::ns), 1'700'000'000'123'456'000);
}

TEST(AgeUnit, RoundsTowardThePast)
{
    EXPECT_EQ(to_unit(999'999, AgeUnit::s), 0);
    EXPECT_EQ(to_unit(1'000'000, AgeUnit::s), 1);
    EXPECT_EQ(to_unit(-1, AgeUnit::s), -1);
    EXPECT_EQ(to_unit(-1'000'000, AgeUnit::s), -1);
    EXPECT_EQ(to_unit(-1'000'001, AgeUnit::s), -2);
    EXPECT_EQ(to_unit(-1, AgeUnit::ms), -1);
    EXPECT_EQ(to_unit(-1'000, AgeUnit::ms), -1);
    EXPECT_EQ(from_unit(999, AgeUnit::ns), 0);
    EXPECT_EQ(from_unit(-1, AgeUnit::ns), -1);
    EXPECT_EQ(from_unit(-1'000, AgeUnit::ns), -1);
    EXPECT_EQ(from_unit(-1'001, AgeUnit::ns), -2);
}

TEST(AgeUnit, SaturatesWhatNanosecondsCannotHold)
{
    EXPECT_EQ(to_unit(largest, AgeUnit::ns), largest);
    EXPECT_EQ(to_unit(smallest, AgeUnit::ns), smallest);
    EXPECT_EQ(to_unit(largest / 1000, AgeUnit::ns), largest / 1000 * 1000);
    EXPECT_EQ(to_unit(largest / 1000 + 1, AgeUnit::ns), largest);
    EXPECT_EQ(to_unit(smallest / 1000, AgeUnit::ns), smallest / 1000 * 1000);
    EXPECT_EQ(to_unit(smallest / 1000 - 1, AgeUnit::ns), smallest);
}

TEST(AgeUnit, ExtremesOfCoarserUnitsDoNotOverflow)
{
    EXPECT_EQ(to_unit(smallest, AgeUnit::s), smallest / 1'000'000 - 1);
    EXPECT_EQ(to_unit(smallest, AgeUnit::ms), smallest / 1'000 - 1);
    EXPECT_EQ(to_unit(largest, AgeUnit::s), largest / 1'000'000);
    EXPECT_EQ(to_unit(smallest, AgeUnit::us), smallest);
}

TEST(AgeUnit, ConvertsAValueBack)
{
    EXPECT_EQ(from_unit(1'700'000'000, AgeUnit::s), 1'700'000'000'000'000);
    EXPECT_EQ(from_unit(1'700'000'000'123, AgeUnit::ms), 1'700'000'000'123'000);
    EXPECT_EQ(from_unit(1'700'000'000'123'456, AgeUnit::us), 1'700'000'000'123'456);
    EXPECT_EQ(from_unit(1'700'000'000'123'456'789, AgeUnit::ns), 1'700'000'000'123'456);
    EXPECT_EQ(from_unit(-5, AgeUnit::s), -5'000'000);
}

TEST(AgeUnit, SaysWhenMicrosecondsCannotHoldAValue)
{
    EXPECT_EQ(from_unit(largest / 1'000'000, AgeUnit::s), largest / 1'000'000 * 1'000'000);
    EXPECT_FALSE(from_unit(largest / 1'000'000 + 1, AgeUnit::s).has_value());
    EXPECT_EQ(from_unit(smallest / 1'000'000, AgeUnit::s), smallest / 1'000'000 * 1'000'000);
    EXPECT_FALSE(from_unit(smallest / 1'000'000 - 1, AgeUnit::s).has_value());
    EXPECT_FALSE(from_unit(largest / 1'000 + 1, AgeUnit::ms).has_value());
    EXPECT_FALSE(from_unit(smallest, AgeUnit::ms).has_value());
    EXPECT_EQ(from_unit(largest, AgeUnit::us), largest);
    EXPECT_EQ(from_unit(smallest, AgeUnit::ns), smallest / 1'000 - 1);
}

TEST(PlausibleNewest, BeginsWith1990)
{
    constexpr std::int64_t start = 631'152'000; // 1990-01-01 00:00:00 UTC
    EXPECT_TRUE(plausible_newest(start, AgeUnit::s));
    EXPECT_FALSE(plausible_newest(start - 1, AgeUnit::s));
    EXPECT_TRUE(plausible_newest(start * 1'000, AgeUnit::ms));
    EXPECT_FALSE(plausible_newest(start * 1'000 - 1, AgeUnit::ms));
    EXPECT_TRUE(plausible_newest(start * 1'000'000, AgeUnit::us));
    EXPECT_FALSE(plausible_newest(start * 1'000'000 - 1, AgeUnit::us));
    EXPECT_TRUE(plausible_newest(start * 1'000'000'000, AgeUnit::ns));
    EXPECT_FALSE(plausible_newest(start * 1'000'000'000 - 1, AgeUnit::ns));
}

TEST(PlausibleNewest, FindsAUnitThatIsTooFine)
{
    constexpr std::int64_t seconds = 1'700'000'000;
    EXPECT_TRUE(plausible_newest(seconds, AgeUnit::s));
    EXPECT_FALSE(plausible_newest(seconds, AgeUnit::ms));
    EXPECT_FALSE(plausible_newest(seconds * 1'000, AgeUnit::us));
    EXPECT_FALSE(plausible_newest(seconds * 1'000'000, AgeUnit::ns));
    EXPECT_FALSE(plausible_newest(0, AgeUnit::s));
    EXPECT_FALSE(plausible_newest(-1, AgeUnit::s));
}

TEST(PlausibleNewest, ValuesBeyondMicroseconds)
{
    EXPECT_TRUE(plausible_newest(largest, AgeUnit::s)) << "far in the future: never eligible";
    EXPECT_FALSE(plausible_newest(smallest, AgeUnit::s));
    EXPECT_FALSE(plausible_newest(smallest, AgeUnit::ns));
}

// `column < to_unit(cutoff)` may take a row only when the row's time is before the cutoff.
TEST(AgeUnit, RandomCutoffsNeverTakeAYoungerRow)
{
    std::mt19937_64 random(test::random_seed());
    constexpr std::int64_t range = std::int64_t{1} << 53; // three centuries either side of 1970, in microseconds
    for (int round = 0; round < 20'000; ++round) {
        const auto cutoff = test::pick<std::int64_t>(random, -range, range);
        for (const AgeUnit unit : all_units) {
            const auto limit = to_unit(cutoff, unit);
            const auto youngest_taken = from_unit(limit - 1, unit);
            ASSERT_TRUE(youngest_taken.has_value());
            ASSERT_LT(*youngest_taken, cutoff);
            const auto oldest_kept = from_unit(limit + 1, unit);
            ASSERT_TRUE(oldest_kept.has_value());
            ASSERT_GE(*oldest_kept, cutoff) << "no more than one unit is kept for rounding";
        }
    }
}

} // namespace
} // namespace pgcleanup::core
