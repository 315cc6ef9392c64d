#include "core/cron_expression.h"

#include "unit/zones.h"

#include <gtest/gtest.h>

namespace pgcleanup::core {
namespace {

using namespace std::chrono;

// 2026-05-01 is a Friday.
std::optional<Instant> next(std::string_view text, Instant after = at(2026y / 5 / 1, 12h), const Zone& zone = utc)
{
    const std::optional<CronExpression> expression = CronExpression::parse(text);
    EXPECT_TRUE(expression) << text;
    return expression ? expression->next_after(after, zone) : std::nullopt;
}

TEST(CronExpression, Fields)
{
    EXPECT_EQ(next("* * * * *"), at(2026y / 5 / 1, 12h + 1min)) << "later than, not at";
    EXPECT_EQ(next("* * * * *", at(2026y / 5 / 1, 12h + 30s)), at(2026y / 5 / 1, 12h + 1min));
    EXPECT_EQ(next("0 3 * * *"), at(2026y / 5 / 2, 3h));
    EXPECT_EQ(next("30 12 * * *"), at(2026y / 5 / 1, 12h + 30min));
    EXPECT_EQ(next("*/15 * * * *"), at(2026y / 5 / 1, 12h + 15min));
    EXPECT_EQ(next("5-10/5 13,14 * * *"), at(2026y / 5 / 1, 13h + 5min));
    EXPECT_EQ(next("0 0 31 * *"), at(2026y / 5 / 31, 0h));
    EXPECT_EQ(next("0 0 31 * *", at(2026y / 5 / 31, 0h)), at(2026y / 7 / 31, 0h));
    EXPECT_EQ(next("0 0 29 2 *"), at(2028y / 2 / 29, 0h));
    EXPECT_EQ(next("0 0 1 JAN *"), at(2027y / 1 / 1, 0h));
    EXPECT_EQ(next("0 0 $ 2 *"), at(2027y / 2 / 28, 0h));
    EXPECT_EQ(next("0 0 30 2 *"), std::nullopt) << "never";
}

TEST(CronExpression, DaysOfTheWeek)
{
    EXPECT_EQ(next("0 3 * * mon"), at(2026y / 5 / 4, 3h));
    EXPECT_EQ(next("0 3 * * 0"), at(2026y / 5 / 3, 3h));
    EXPECT_EQ(next("0 3 * * 7"), at(2026y / 5 / 3, 3h));
    EXPECT_EQ(next("0 3 * * Mon-Fri", at(2026y / 5 / 1, 3h)), at(2026y / 5 / 4, 3h));
    EXPECT_EQ(next("0 3 5 * mon"), at(2026y / 5 / 4, 3h)) << "either";
    EXPECT_EQ(next("0 3 3 * mon"), at(2026y / 5 / 3, 3h)) << "either";
    EXPECT_EQ(next("0 3 */2 * mon"), at(2026y / 5 / 11, 3h)) << "both, since one begins with a star";
}

TEST(CronExpression, Macros)
{
    EXPECT_EQ(next("@hourly"), at(2026y / 5 / 1, 13h));
    EXPECT_EQ(next("@Daily"), at(2026y / 5 / 2, 0h));
    EXPECT_EQ(next("@weekly"), at(2026y / 5 / 3, 0h));
    EXPECT_EQ(next("@monthly"), at(2026y / 6 / 1, 0h));
    EXPECT_EQ(next("@yearly"), at(2027y / 1 / 1, 0h));
    EXPECT_EQ(next("30 seconds"), at(2026y / 5 / 1, 12h + 30s));
}

TEST(CronExpression, ChangesOfTheClock)
{
    EXPECT_EQ(next("30 2 * * *", at(2026y / 3 / 28, 12h), berlin), at(2026y / 3 / 30, 30min)) << "not in the gap";
    EXPECT_EQ(next("30 2 * * *", at(2026y / 10 / 24, 12h), berlin), at(2026y / 10 / 25, 30min));
    EXPECT_EQ(next("30 2 * * *", at(2026y / 10 / 25, 30min), berlin), at(2026y / 10 / 25, 1h + 30min)) << "twice";
}

TEST(CronExpression, RefusesWhatIsNone)
{
    for (const char* text : {"",           "* * * *",    "* * * * * *",   "60 * * * *",    "* 24 * * *",  "* * 0 * *",
                             "* * * 13 *", "* * * * 8",  "5/10 * * * *",  "10-5 * * * *",  "*/0 * * * *", "1, * * * *",
                             "a * * * *",  "-1 * * * *", "1-2-3 * * * *", "*/2/2 * * * *", "@reboot",     "@often",
                             "0 seconds",  "60 seconds", "10 minutes",    "+1 * * * *"})
        EXPECT_FALSE(CronExpression::parse(text)) << text;
}

} // namespace
} // namespace pgcleanup::core
