#include "core/uuid7.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace pgcleanup::core {
namespace {

constexpr std::int64_t latest = (std::int64_t{1} << 48) - 1;

// The example of RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC.
constexpr std::int64_t example_time = 1'645'557'742'000;
constexpr Uuid example = {0x01, 0x7F, 0x22, 0xE2, 0x79, 0xB0, 0x7C, 0xC3,
                          0x98, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F};

TEST(Uuid7, LowerBoundHasTimeVersionAndVariantOnly)
{
    constexpr Uuid expected = {0x01, 0x7F, 0x22, 0xE2, 0x79, 0xB0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(uuid7_lower_bound(example_time), expected);
    EXPECT_LT(uuid7_lower_bound(example_time), example);
    EXPECT_GT(uuid7_lower_bound(example_time + 1), example);
}

TEST(Uuid7, LowerBoundAsText)
{
    EXPECT_EQ(uuid7_lower_bound_text(example_time), "017f22e2-79b0-7000-8000-000000000000");
    EXPECT_EQ(uuid7_lower_bound_text(0), "00000000-0000-7000-8000-000000000000");
    EXPECT_EQ(uuid7_lower_bound_text(0x0123'4567'89AB), "01234567-89ab-7000-8000-000000000000");
    EXPECT_EQ(uuid7_lower_bound_text(0xCDEF'0000'0001), "cdef0000-0001-7000-8000-000000000000");
}

TEST(Uuid7, TimesBeyond48BitsAreClamped)
{
    EXPECT_EQ(uuid7_lower_bound(-1), uuid7_lower_bound(0));
    EXPECT_EQ(uuid7_lower_bound(std::numeric_limits<std::int64_t>::min()), uuid7_lower_bound(0));
    EXPECT_EQ(uuid7_lower_bound(latest + 1), uuid7_lower_bound(latest));
    EXPECT_EQ(uuid7_lower_bound_text(std::numeric_limits<std::int64_t>::max()), "ffffffff-ffff-7000-8000-000000000000");
}

TEST(Uuid7, ReadsTheTime)
{
    EXPECT_EQ(uuid7_time(example), example_time);
    EXPECT_EQ(uuid7_time(uuid7_lower_bound(0)), 0);
    EXPECT_EQ(uuid7_time(uuid7_lower_bound(latest)), latest);
}

TEST(Uuid7, HasNoTimeInOtherVersions)
{
    for (unsigned version = 0; version < 16; ++version) {
        Uuid uuid = example;
        uuid[6] = static_cast<std::uint8_t>(version << 4U | (example[6] & 0x0FU));
        EXPECT_EQ(uuid7_time(uuid).has_value(), version == 7) << "version " << version;
    }
}

TEST(Uuid7, HasNoTimeInOtherVariants)
{
    for (unsigned top = 0; top < 16; ++top) {
        Uuid uuid = example;
        uuid[8] = static_cast<std::uint8_t>(top << 4U | (example[8] & 0x0FU));
        EXPECT_EQ(uuid7_time(uuid).has_value(), top >= 8 && top <= 11) << "upper half " << top;
    }
}

TEST(Uuid7, NilAndMaxHaveNoTime)
{
    Uuid max{};
    max.fill(0xFF);
    EXPECT_FALSE(uuid7_time(Uuid{}).has_value());
    EXPECT_FALSE(uuid7_time(max).has_value());
}

TEST(Uuid7, RandomUuidsSortByTheirTimeAroundTheBound)
{
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 20'000; ++round) {
        const auto time = test::pick<std::int64_t>(random, 0, latest);
        Uuid uuid = uuid7_lower_bound(time);
        for (std::size_t byte = 6; byte < uuid.size(); ++byte) { // fill in the random bits
            const auto mask = byte == 6 ? 0x0FU : byte == 8 ? 0x3FU : 0xFFU;
            uuid[byte] = static_cast<std::uint8_t>(uuid[byte] | (random() & mask));
        }
        ASSERT_EQ(uuid7_time(uuid), time);
        ASSERT_GE(uuid, uuid7_lower_bound(time));
        const auto cutoff = test::pick<std::int64_t>(random, std::max<std::int64_t>(time - 3, 0), time + 3);
        if (cutoff <= latest) {
            ASSERT_EQ(uuid < uuid7_lower_bound(cutoff), time < cutoff);
        }
    }
}

} // namespace
} // namespace pgcleanup::core
