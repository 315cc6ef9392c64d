#include "core/near_names.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pgcleanup::core {
namespace {

using Names = std::vector<std::string>;

const Names policies = {"old_events", "old_meetings", "sessions", "session_logs", "recordings"};

TEST(NearNames, FindsAMissingAddedChangedOrSwappedCharacter)
{
    EXPECT_EQ(near_names("old_event", policies), Names{"old_events"});
    EXPECT_EQ(near_names("old_eventss", policies), Names{"old_events"});
    EXPECT_EQ(near_names("old-events", policies), Names{"old_events"});
    EXPECT_EQ(near_names("old_evnets", policies), Names{"old_events"});
}

TEST(NearNames, ASwapIsOneErrorNotTwo)
{
    EXPECT_EQ(near_names("ba", Names{"ab"}), Names{"ab"}); // two characters allow one error
    EXPECT_EQ(near_names("abdc", Names{"abcd", "acdb"}), Names{"abcd"});
}

TEST(NearNames, FindsNothingForSomethingElse)
{
    EXPECT_TRUE(near_names("invoices", policies).empty());
    EXPECT_TRUE(near_names("x", policies).empty());
    EXPECT_TRUE(near_names("", policies).empty());
    EXPECT_TRUE(near_names("old_events", Names{}).empty());
}

TEST(NearNames, AllowsMoreErrorsInLongerNames)
{
    EXPECT_TRUE(near_names("a", Names{"b", "ab"}).empty());
    EXPECT_EQ(near_names("ab", Names{"ac", "cd"}), Names{"ac"});
    EXPECT_EQ(near_names("abcd", Names{"abcx", "abxy"}), Names{"abcx"});
    EXPECT_EQ(near_names("abcde", Names{"abcxy", "abxyz"}), Names{"abcxy"});
    EXPECT_EQ(near_names("abcdefghijkl", Names{"abcdefgh1234", "abcdefg12345"}), Names{"abcdefgh1234"});
}

TEST(NearNames, AllowsAtMostFourErrors)
{
    const std::string wanted(60, 'a');
    const std::string four = std::string(56, 'a') + "bbbb";
    const std::string five = std::string(55, 'a') + "bbbbb";
    EXPECT_EQ(near_names(wanted, Names{five, four}), Names{four});
}

TEST(NearNames, BestFirst)
{
    const Names known = {"abcdefxyz", "abcdefghx", "abcdefgxy", "abcdefghi"};
    EXPECT_EQ(near_names("abcdefghi", known), (Names{"abcdefghi", "abcdefghx", "abcdefgxy"}));
}

TEST(NearNames, EquallyNearNamesComeInOrder)
{
    EXPECT_EQ(near_names("event_x", Names{"event_c", "event_a", "event_b"}), (Names{"event_a", "event_b", "event_c"}));
}

TEST(NearNames, GivesAtMostTheMaximum)
{
    const Names known = {"job1", "job2", "job3", "job4", "job5"};
    EXPECT_EQ(near_names("job0", known).size(), 3U);
    EXPECT_EQ(near_names("job0", known, 1), Names{"job1"});
    EXPECT_EQ(near_names("job0", known, 99).size(), 5U);
    EXPECT_TRUE(near_names("job0", known, 0).empty());
}

TEST(NearNames, CaseIsNoError)
{
    EXPECT_EQ(near_names("OLD_EVENTS", policies), Names{"old_events"});
    EXPECT_EQ(near_names("AZ@[", Names{"az@[", "az`{"}), Names{"az@["}) << "letters only";
    EXPECT_EQ(near_names("old_events", Names{"Old_Events"}), Names{"Old_Events"}) << "as it is written";
}

TEST(NearNames, NonAsciiNamesAreComparedByByte)
{
    EXPECT_EQ(near_names("löschen", Names{"löschn"}), Names{"löschn"});
    EXPECT_EQ(near_names("loeschung", Names{"löschung"}), Names{"löschung"});
}

// The textbook recursion, with no cleverness at all.
// NOLINTNEXTLINE(misc-no-recursion)
std::size_t plain_distance(const std::string& left, const std::string& right)
{
    if (left.empty() || right.empty()) {
        return left.size() + right.size();
    }
    const std::string left_rest = left.substr(1);
    const std::string right_rest = right.substr(1);
    std::size_t best = std::min(plain_distance(left_rest, right), plain_distance(left, right_rest)) + 1;
    best = std::min(best, plain_distance(left_rest, right_rest) + (left[0] == right[0] ? 0 : 1));
    if (left.size() > 1 && right.size() > 1 && left[0] == right[1] && left[1] == right[0]) {
        best = std::min(best, plain_distance(left.substr(2), right.substr(2)) + 1);
    }
    return best;
}

std::string random_name(std::mt19937_64& random)
{
    std::string name(test::pick<std::size_t>(random, 1, 6), 'a');
    for (char& one : name) {
        one = static_cast<char>('a' + test::pick(random, 0, 2));
    }
    return name;
}

TEST(NearNames, RandomNamesAgreeWithThePlainDistance)
{
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 500; ++round) {
        const std::string wanted = random_name(random);
        const std::string known = random_name(random);
        const bool near = plain_distance(wanted, known) <= (wanted.size() + 1) / 3;
        ASSERT_EQ(near_names(wanted, Names{known}).size(), near ? 1U : 0U) << wanted << " and " << known;
    }
}

} // namespace
} // namespace pgcleanup::core
