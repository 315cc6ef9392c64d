#include "core/period.h"

#include <gtest/gtest.h>

#include <limits>

namespace pgcleanup::core {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t day = 24 * hour;
constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t most_microseconds = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least_microseconds = std::numeric_limits<std::int64_t>::min();

TEST(CheckRetain, AcceptsUsualPeriods)
{
    EXPECT_EQ(check_retain({0, 30, 0}), RetainCheck::ok);
    EXPECT_EQ(check_retain({6, 0, 0}), RetainCheck::ok);
    EXPECT_EQ(check_retain({12 * 10, 3, hour}), RetainCheck::ok);
    EXPECT_EQ(check_retain({0, 0, day}), RetainCheck::ok);
}

TEST(CheckRetain, AcceptsZero)
{
    EXPECT_EQ(check_retain({}), RetainCheck::ok);
}

TEST(CheckRetain, RefusesLessThanAnHour)
{
    EXPECT_EQ(check_retain({0, 0, 30 * second}), RetainCheck::too_short) << "'30' without a unit";
    EXPECT_EQ(check_retain({0, 0, 1}), RetainCheck::too_short);
    EXPECT_EQ(check_retain({0, 0, hour - 1}), RetainCheck::too_short);
    EXPECT_EQ(check_retain({0, 0, hour}), RetainCheck::ok);
}

TEST(CheckRetain, ADayOrAMonthIsLongEnoughAlone)
{
    EXPECT_EQ(check_retain({0, 1, 0}), RetainCheck::ok);
    EXPECT_EQ(check_retain({1, 0, 0}), RetainCheck::ok);
    EXPECT_EQ(check_retain({0, 1, 1}), RetainCheck::ok);
}

TEST(CheckRetain, RefusesMixedSigns)
{
    EXPECT_EQ(check_retain({1, -40, 0}), RetainCheck::mixed_signs);
    EXPECT_EQ(check_retain({-1, 40, 0}), RetainCheck::mixed_signs);
    EXPECT_EQ(check_retain({1, 0, -1}), RetainCheck::mixed_signs);
    EXPECT_EQ(check_retain({0, 30, -second}), RetainCheck::mixed_signs) << "even when it is long in all";
    EXPECT_EQ(check_retain({0, -1, 2 * day}), RetainCheck::mixed_signs);
    EXPECT_EQ(check_retain({0, 1, -1}), RetainCheck::mixed_signs);
    EXPECT_EQ(check_retain({0, -1, 1}), RetainCheck::mixed_signs);
    EXPECT_EQ(check_retain({most, least, 0}), RetainCheck::mixed_signs);
}

TEST(CheckRetain, RefusesNegativePeriods)
{
    EXPECT_EQ(check_retain({-1, 0, 0}), RetainCheck::negative);
    EXPECT_EQ(check_retain({0, -1, 0}), RetainCheck::negative);
    EXPECT_EQ(check_retain({0, 0, -1}), RetainCheck::negative);
    EXPECT_EQ(check_retain({-1, -1, -1}), RetainCheck::negative);
    EXPECT_EQ(check_retain({least, least, least_microseconds}), RetainCheck::negative) << "PostgreSQL 17's -infinity";
}

TEST(CheckRetain, RefusesMoreThanAThousandYears)
{
    EXPECT_EQ(check_retain({12'000, 0, 0}), RetainCheck::ok);
    EXPECT_EQ(check_retain({12'000, 0, 1}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({12'001, 0, 0}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({0, 365'242, 0}), RetainCheck::ok);
    EXPECT_EQ(check_retain({0, 365'243, 0}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({0, 0, 365'242 * day + day / 2}), RetainCheck::ok) << "a thousand average years";
    EXPECT_EQ(check_retain({0, 0, 365'242 * day + day / 2 + 1}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({0, 0, 365'243 * day}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({6'000, 365'000 / 2, 400 * day}), RetainCheck::too_long) << "only in all";
}

TEST(CheckRetain, ExtremesDoNotOverflow)
{
    EXPECT_EQ(check_retain({most, 0, 0}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({0, most, 0}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({0, 0, most_microseconds}), RetainCheck::too_long);
    EXPECT_EQ(check_retain({most, most, most_microseconds}), RetainCheck::too_long) << "PostgreSQL 17's infinity";
    EXPECT_EQ(check_retain({0, 0, least_microseconds}), RetainCheck::negative);
}

} // namespace
} // namespace pgcleanup::core
