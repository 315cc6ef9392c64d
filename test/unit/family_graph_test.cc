#include "core/family_graph.h"
#include "unit/random_seed.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pgcleanup::core {
namespace {

using Node = FamilyGraph::Node;
using Fate = FamilyGraph::Fate;

// Rows by numbers, each in the table of its tens.
class Rows {
public:
    explicit Rows(std::uint32_t count)
    {
        for (std::uint32_t n = 0; n < count; ++n) {
            graph.add({n / 10, n, 1});
        }
    }
    Rows& roots(const std::vector<Node>& nodes)
    {
        for (const Node node : nodes) {
            graph.set_root(node);
        }
        return *this;
    }
    std::vector<Node> going() const
    {
        const auto verdicts = graph.decide();
        std::vector<Node> list;
        for (Node node = 0; node < verdicts.size(); ++node) {
            if (verdicts[node].fate == Fate::goes) {
                list.push_back(node);
            }
        }
        return list;
    }

    FamilyGraph graph;
};

using List = std::vector<Node>;

TEST(FamilyGraph, FindsRowsAgain)
{
    FamilyGraph graph;
    for (std::uint32_t n = 0; n < 1000; ++n) {
        EXPECT_EQ(graph.add({n % 3, n, 7}), (std::pair<Node, bool>{n, true}));
    }
    EXPECT_EQ(graph.add({2, 5, 7}), (std::pair<Node, bool>{5, false}));
    EXPECT_EQ(graph.find({0, 999, 7}), std::optional<Node>(999));
    EXPECT_EQ(graph.find({0, 999, 8}), std::nullopt);
    EXPECT_EQ(FamilyGraph().find({0, 0, 1}), std::nullopt);
    EXPECT_TRUE(FamilyGraph().decide().empty());
}

TEST(FamilyGraph, RootsTakeAlongWhatMustGo)
{
    Rows rows(5);
    rows.roots({0}).graph.add_must(0, 1);
    rows.graph.add_must(1, 2);
    rows.graph.add_must(3, 4);
    EXPECT_EQ(rows.going(), (List{0, 1, 2}));
    EXPECT_EQ(rows.graph.decide()[3].fate, Fate::not_due);
}

TEST(FamilyGraph, ABlockerAnywhereKeepsTheFamily)
{
    Rows rows(25);
    rows.roots({0, 10}).graph.add_must(0, 1);
    rows.graph.add_must(1, 2);
    rows.graph.add_blocker(2, 20);
    EXPECT_EQ(rows.going(), (List{10}));
    EXPECT_EQ(rows.graph.decide()[0], (FamilyGraph::Verdict{Fate::blocked, 2}));
}

TEST(FamilyGraph, ABlockerThatGoesIsNone)
{
    Rows rows(4);
    rows.roots({0}).graph.add_must(0, 1);
    rows.graph.add_must(0, 2);
    rows.graph.add_blocker(1, 2);
    EXPECT_EQ(rows.going(), (List{0, 1, 2}));
}

TEST(FamilyGraph, RowsThatBlockEachOtherGoTogether)
{
    Rows rows(3);
    rows.roots({0, 1, 2}).graph.add_blocker(0, 1);
    rows.graph.add_blocker(1, 2);
    rows.graph.add_blocker(2, 0);
    EXPECT_EQ(rows.going(), (List{0, 1, 2}));
    rows.graph.set_blocked(1, 77);
    EXPECT_EQ(rows.going(), List{});
    EXPECT_EQ(rows.graph.decide()[1], (FamilyGraph::Verdict{Fate::blocked, 77}));
}

TEST(FamilyGraph, ALockedRowKeepsWhatNeedsIt)
{
    Rows rows(20);
    rows.roots({0, 1, 2}).graph.add_must(0, 10);
    rows.graph.add_blocker(1, 10);
    rows.graph.set_locked(10);
    EXPECT_EQ(rows.going(), (List{2}));
    EXPECT_EQ(rows.graph.decide()[0], (FamilyGraph::Verdict{Fate::locked, 1}));
    EXPECT_EQ(rows.graph.decide()[1], (FamilyGraph::Verdict{Fate::locked, 1}));
}

TEST(FamilyGraph, WhatTwoTakeAlongGoesWithOne)
{
    Rows rows(4);
    rows.roots({0, 1}).graph.add_must(0, 2);
    rows.graph.add_must(1, 2);
    rows.graph.set_blocked(0, 9);
    EXPECT_EQ(rows.going(), (List{1, 2}));
    rows.graph.set_blocked(1, 9);
    EXPECT_EQ(rows.going(), List{});
}

TEST(FamilyGraph, RowsThatOnlyTakeEachOtherAlongStay)
{
    Rows rows(5);
    rows.roots({0, 4}).graph.add_must(0, 1);
    rows.graph.add_must(1, 2);
    rows.graph.add_must(2, 1);
    rows.graph.add_blocker(4, 2); // 4 needs 2 to go
    EXPECT_EQ(rows.going(), (List{0, 1, 2, 4}));
    rows.graph.set_blocked(0, 9);
    EXPECT_EQ(rows.going(), List{});
}

TEST(FamilyGraph, SharedRowsGoWithTheLastThatNeedsThem)
{
    Rows rows(20);
    rows.roots({0, 1}).graph.add_may(0, 10);
    rows.graph.add_may(1, 10);
    rows.graph.add_user(10, 0);
    rows.graph.add_user(10, 1);
    EXPECT_EQ(rows.going(), (List{0, 1, 10}));
    rows.graph.set_blocked(1, 9);
    EXPECT_EQ(rows.going(), (List{0}));
}

TEST(FamilyGraph, SharedRowsStayWhenNeededOrBlocked)
{
    Rows needed(20);
    needed.roots({0}).graph.add_may(0, 10);
    needed.graph.set_needed(10);
    EXPECT_EQ(needed.going(), (List{0}));

    Rows blocked(20);
    blocked.roots({0}).graph.add_may(0, 10);
    blocked.graph.add_must(10, 11);
    blocked.graph.set_blocked(11, 9);
    EXPECT_EQ(blocked.going(), (List{0}));
}

TEST(FamilyGraph, SharedRowsThatAreLockedAreWaitedForUnlessNeeded)
{
    Rows rows(20);
    rows.roots({0, 1}).graph.add_may(0, 10);
    rows.graph.set_locked(10);
    EXPECT_EQ(rows.going(), (List{1}));
    EXPECT_EQ(rows.graph.decide()[0], (FamilyGraph::Verdict{Fate::locked, 1}));
    rows.graph.set_needed(10);
    EXPECT_EQ(rows.going(), (List{0, 1}));
}

// 10 would take 1 along, which needs 10 itself: no reason for 1 to go.
TEST(FamilyGraph, ASharedRowDoesNotTakeItsOwnUsersAlong)
{
    Rows rows(20);
    rows.roots({0}).graph.add_may(0, 10);
    rows.graph.add_must(10, 1);
    rows.graph.add_user(10, 0);
    rows.graph.add_user(10, 1);
    EXPECT_EQ(rows.going(), (List{0}));
}

TEST(FamilyGraph, ARowThatATriggerKeepsKeepsItsFamily)
{
    Rows rows(30);
    rows.roots({0, 1, 2}).graph.add_must(0, 10);
    rows.graph.add_may(1, 20);
    rows.graph.set_refused(10);
    rows.graph.set_refused(20);
    EXPECT_EQ(rows.going(), (List{1, 2}));
    EXPECT_EQ(rows.graph.decide()[0], (FamilyGraph::Verdict{Fate::refused, 1}));
}

TEST(FamilyGraph, TheLargestFamilyOfThoseThatGo)
{
    Rows rows(30);
    rows.roots({0, 1, 2}).graph.add_must(0, 10);
    rows.graph.add_must(1, 10);
    rows.graph.add_must(1, 11);
    rows.graph.add_must(2, 12);
    rows.graph.add_must(2, 13);
    rows.graph.add_must(2, 14);
    rows.graph.set_blocked(14, 9);
    EXPECT_EQ(rows.graph.largest_family(rows.graph.decide()), 3U);
    EXPECT_EQ(FamilyGraph().largest_family({}), 0U);
}

TEST(FamilyGraph, LongChainsAreCheap)
{
    constexpr Node length = 50'000;
    FamilyGraph graph;
    for (Node node = 0; node < length; ++node) {
        graph.add({1, node, 1});
        graph.set_root(node);
        if (node > 0) {
            graph.add_blocker(node - 1, node);
        }
    }
    EXPECT_EQ(graph.decide()[0].fate, Fate::goes);
    graph.set_blocked(length - 1, 2);
    EXPECT_EQ(graph.decide()[0], (FamilyGraph::Verdict{Fate::blocked, 1}));
}

// What goes along with some roots, by must alone.
List closure(const List& roots, const std::vector<std::pair<Node, Node>>& must)
{
    List all = roots;
    for (std::size_t n = 0; n < all.size(); ++n) {
        for (const auto& [from, to] : must) {
            if (from == all[n] && std::find(all.begin(), all.end(), to) == all.end()) {
                all.push_back(to);
            }
        }
    }
    std::sort(all.begin(), all.end());
    return all;
}

// The union of all sets of roots that may go together is what goes.
TEST(FamilyGraph, AgreesWithTryingEverySet)
{
    std::mt19937_64 random(test::random_seed());
    for (int round = 0; round < 2000; ++round) {
        const auto count = test::pick<Node>(random, 1, 9);
        Rows rows(count);
        std::vector<std::pair<Node, Node>> must;
        std::vector<std::pair<Node, Node>> blockers;
        List roots;
        std::vector<bool> obstacle(count);
        for (Node node = 0; node < count; ++node) {
            if (test::pick(random, 0, 1) == 0) {
                roots.push_back(node);
            }
            if (test::pick(random, 0, 9) == 0) {
                obstacle[node] = true;
                test::pick(random, 0, 1) == 0 ? rows.graph.set_locked(node) : rows.graph.set_blocked(node, 5);
            }
        }
        rows.roots(roots);
        for (Node n = test::pick<Node>(random, 0, 2 * count); n > 0; --n) {
            const std::pair edge(test::pick<Node>(random, 0, count - 1), test::pick<Node>(random, 0, count - 1));
            if (test::pick(random, 0, 2) > 0) {
                must.push_back(edge);
                rows.graph.add_must(edge.first, edge.second);
            } else {
                blockers.push_back(edge);
                rows.graph.add_blocker(edge.first, edge.second);
            }
        }
        List best;
        for (std::uint32_t set = 0; set < (1U << roots.size()); ++set) {
            List chosen;
            for (std::size_t n = 0; n < roots.size(); ++n) {
                if ((set >> n & 1U) != 0) {
                    chosen.push_back(roots[n]);
                }
            }
            const List all = closure(chosen, must);
            const auto goes = [&](Node node) { return std::binary_search(all.begin(), all.end(), node); };
            const bool fits = std::none_of(all.begin(), all.end(), [&](Node node) { return obstacle[node]; }) &&
                              std::all_of(blockers.begin(), blockers.end(),
                                          [&](const auto& edge) { return !goes(edge.first) || goes(edge.second); });
            if (fits) {
                List joined;
                std::set_union(best.begin(), best.end(), all.begin(), all.end(), std::back_inserter(joined));
                best = joined;
            }
        }
        ASSERT_EQ(rows.going(), best) << "round " << round;
    }
}

TEST(RowSet, CountsEachRowOnce)
{
    std::mt19937_64 random(test::random_seed());
    RowSet set;
    std::vector<RowPlace> rows;
    for (int n = 0; n < 3000; ++n) {
        const RowPlace row{test::pick<std::uint32_t>(random, 1, 3), test::pick<std::uint32_t>(random, 0, 20),
                           test::pick<std::uint16_t>(random, 1, RowSet::largest_offset)};
        const bool is_known = std::find(rows.begin(), rows.end(), row) != rows.end();
        EXPECT_EQ(set.contains(row), is_known);
        EXPECT_EQ(set.add(row), !is_known);
        if (!is_known) {
            rows.push_back(row);
        }
    }
    EXPECT_EQ(set.size(), rows.size());
    for (const std::uint32_t table : {1U, 2U, 3U, 4U}) {
        EXPECT_EQ(set.count(table),
                  static_cast<std::size_t>(
                      std::count_if(rows.begin(), rows.end(), [&](const auto& row) { return row.table == table; })));
    }
}

} // namespace
} // namespace pgcleanup::core
