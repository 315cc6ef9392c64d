// Which rows of a family graph go: begins with all that roots reach, and takes away what cannot, until nothing changes.
#include "core/family_graph.h"

#include <algorithm>
#include <span>

namespace pgcleanup::core {

using Node = FamilyGraph::Node;
using Fate = FamilyGraph::Fate;
using Verdict = FamilyGraph::Verdict;

namespace {

// The neighbours of each node along edges in one direction.
class Neighbours {
public:
    template <class Edges, class From, class To>
    Neighbours(const Edges& edges, std::size_t nodes, From from, To to) : begins_(nodes + 1), ends_(edges.size())
    {
        for (const auto& edge : edges) {
            ++begins_[from(edge) + 1];
        }
        for (std::size_t n = 1; n < begins_.size(); ++n) {
            begins_[n] += begins_[n - 1];
        }
        std::vector<std::uint32_t> next(begins_.begin(), begins_.end() - 1);
        for (const auto& edge : edges) {
            ends_[next[from(edge)]++] = to(edge);
        }
    }
    [[nodiscard]] std::span<const Node> of(Node node) const
    {
        return std::span(ends_).subspan(begins_[node], begins_[node + 1] - begins_[node]);
    }

private:
    std::vector<std::uint32_t> begins_;
    std::vector<Node> ends_;
};

constexpr auto from_of = [](const auto& edge) { return edge.from; };
constexpr auto to_of = [](const auto& edge) { return edge.to; };

} // namespace

class FamilyDecision {
public:
    explicit FamilyDecision(const FamilyGraph& graph)
        : nodes_(graph.nodes_), size_(graph.nodes_.size()), must_(graph.must_, size_, from_of, to_of),
          must_back_(graph.must_, size_, to_of, from_of), may_(graph.may_, size_, from_of, to_of),
          may_back_(graph.may_, size_, to_of, from_of), users_(graph.users_, size_, from_of, to_of),
          users_back_(graph.users_, size_, to_of, from_of), blocks_(graph.blockers_, size_, from_of, to_of),
          blockers_(graph.blockers_, size_, to_of, from_of), state_(size_), verdicts_(size_, Verdict{Fate::not_due, 0})
    {
    }

    std::vector<Verdict> decide()
    {
        begin();
        do {
            work_off();
        } while (drop_unreached() || hold_for_locked());
        return std::move(verdicts_);
    }

private:
    struct State {
        bool goes = false;
        bool is_firm = false; // reached from roots by must alone: it does not go for the sake of something shared
        bool is_needed = false;
        std::uint32_t must_reasons = 0;
        std::uint32_t may_reasons = 0;
        std::uint32_t firm_reasons = 0;
    };
    struct Task {
        Node node;
        Verdict verdict;
        bool cannot; // true: rows that must take it along cannot go either; false: it merely has no reason to go
    };

    // What is reached from roots over the nodes that `may_pass` lets through.
    template <class MayPass>
    std::vector<bool> reach(bool by_may, MayPass may_pass) const
    {
        std::vector<bool> reached(size_);
        std::vector<Node> stack;
        const auto visit = [&](Node node) {
            if (!reached[node] && may_pass(node)) {
                reached[node] = true;
                stack.push_back(node);
            }
        };
        for (Node node = 0; node < size_; ++node) {
            if (nodes_[node].is_root) {
                visit(node);
            }
        }
        while (!stack.empty()) {
            const Node node = stack.back();
            stack.pop_back();
            for (const Node next : must_.of(node)) {
                visit(next);
            }
            for (const Node next : by_may ? may_.of(node) : std::span<const Node>()) {
                if (!state_[next].is_needed) {
                    visit(next);
                }
            }
        }
        return reached;
    }

    void begin()
    {
        for (Node node = 0; node < size_; ++node) {
            state_[node].is_needed = nodes_[node].is_needed;
        }
        const auto all = [](Node) { return true; };
        const std::vector<bool> reached = reach(true, all);
        const std::vector<bool> firm = reach(false, all);
        for (Node node = 0; node < size_; ++node) {
            state_[node].goes = reached[node];
            state_[node].is_firm = firm[node];
        }
        for (Node node = 0; node < size_; ++node) {
            if (state_[node].goes) {
                verdicts_[node] = {};
                count_reasons(node);
            }
        }
        for (Node node = 0; node < size_; ++node) {
            if (state_[node].goes) {
                look_for_obstacles(node);
            }
        }
    }

    void count_reasons(Node node)
    {
        for (const Node parent : must_back_.of(node)) {
            state_[node].must_reasons += state_[parent].goes ? 1 : 0;
            state_[node].firm_reasons += state_[parent].is_firm ? 1 : 0;
        }
        for (const Node parent : may_back_.of(node)) {
            state_[node].may_reasons += state_[parent].goes ? 1 : 0;
        }
    }

    void look_for_obstacles(Node node)
    {
        if (nodes_[node].is_locked) {
            tasks_.push_back({node, {Fate::locked, nodes_[node].row.table}, true});
        } else if (nodes_[node].is_refused) {
            tasks_.push_back({node, {Fate::refused, nodes_[node].row.table}, true});
        } else if (nodes_[node].is_blocked) {
            tasks_.push_back({node, {Fate::blocked, nodes_[node].blocked_by}, true});
        }
        for (const Node blocker : blockers_.of(node)) {
            if (!state_[blocker].goes) {
                tasks_.push_back({node, {Fate::blocked, nodes_[blocker].row.table}, true});
            }
        }
        for (const Node user : users_back_.of(node)) {
            if (!state_[user].is_firm) {
                need(node);
            }
        }
    }

    void work_off()
    {
        while (!tasks_.empty()) {
            const Task task = tasks_.back();
            tasks_.pop_back();
            if (state_[task.node].goes) {
                keep(task);
            }
        }
    }

    void keep(const Task& task)
    {
        const Node node = task.node;
        state_[node].goes = false;
        verdicts_[node] = task.verdict;
        lose_firmness(node);
        for (const Node next : must_.of(node)) {
            --state_[next].must_reasons;
            drop_without_reason(next, task.verdict);
        }
        for (const Node next : may_.of(node)) {
            --state_[next].may_reasons;
            drop_without_reason(next, task.verdict);
        }
        const Verdict for_referenced =
            task.verdict.fate == Fate::locked ? task.verdict : Verdict{Fate::blocked, nodes_[node].row.table};
        for (const Node referenced : blocks_.of(node)) {
            tasks_.push_back({referenced, for_referenced, true});
        }
        for (const Node parent : task.cannot ? must_back_.of(node) : std::span<const Node>()) {
            tasks_.push_back({parent, task.verdict, true});
        }
    }

    void drop_without_reason(Node node, const Verdict& verdict)
    {
        const State& state = state_[node];
        if (state.goes && !nodes_[node].is_root && state.must_reasons == 0 &&
            (state.may_reasons == 0 || state.is_needed)) {
            // Whatever kept the row that took it along is why rows that it blocks stay.
            const Fate fate = verdict.fate == Fate::locked ? Fate::locked : Fate::not_due;
            tasks_.push_back({node, {fate, verdict.table}, false});
        }
    }

    void lose_firmness(Node first)
    {
        std::vector<Node> stack{first};
        while (!stack.empty()) {
            const Node node = stack.back();
            stack.pop_back();
            if (!state_[node].is_firm) {
                continue;
            }
            state_[node].is_firm = false;
            for (const Node shared : users_.of(node)) {
                need(shared);
            }
            for (const Node next : must_.of(node)) {
                if (--state_[next].firm_reasons == 0 && !nodes_[next].is_root) {
                    stack.push_back(next);
                }
            }
        }
    }

    void need(Node shared)
    {
        state_[shared].is_needed = true;
        drop_without_reason(shared, {Fate::not_due, 0});
    }

    // Rows that only keep each other going, in a loop, have no reason.
    bool drop_unreached()
    {
        const std::vector<bool> reached = reach(true, [&](Node node) { return state_[node].goes; });
        const std::vector<bool> firm = reach(false, [&](Node node) { return state_[node].goes; });
        bool changed = false;
        for (Node node = 0; node < size_; ++node) {
            if (state_[node].is_firm && !firm[node]) {
                lose_firmness(node);
                changed = true;
            }
            if (state_[node].goes && !reached[node]) {
                tasks_.push_back({node, {Fate::not_due, 0}, false});
                changed = true;
            }
        }
        return changed;
    }

    // A shared row that nobody else needs, and that is only locked at the moment, is waited for: once those that share
    // it are gone, nothing would ever lead to it again.
    bool hold_for_locked()
    {
        for (Node node = 0; node < size_; ++node) {
            if (verdicts_[node].fate != Fate::locked || state_[node].is_needed) {
                continue;
            }
            for (const Node parent : may_back_.of(node)) {
                if (state_[parent].goes) {
                    tasks_.push_back({parent, verdicts_[node], true});
                }
            }
        }
        return !tasks_.empty();
    }

    const std::vector<FamilyGraph::NodeFacts>& nodes_;
    std::size_t size_;
    Neighbours must_;
    Neighbours must_back_;
    Neighbours may_;
    Neighbours may_back_;
    Neighbours users_;
    Neighbours users_back_;
    Neighbours blocks_;
    Neighbours blockers_;
    std::vector<State> state_;
    std::vector<Verdict> verdicts_;
    std::vector<Task> tasks_;
};

std::vector<Verdict> FamilyGraph::decide() const
{
    return FamilyDecision(*this).decide();
}

std::size_t FamilyGraph::largest_family(const std::vector<Verdict>& verdicts) const
{
    constexpr std::size_t looks_at_each_row = 20;
    const Neighbours must(must_, size(), from_of, to_of);
    const Neighbours may(may_, size(), from_of, to_of);
    std::vector<Node> seen(size()); // the root, and one, by which a node was counted last
    std::size_t looks_left = looks_at_each_row * size();
    std::size_t largest = 0;
    for (Node root = 0; root < size() && looks_left > 0; ++root) {
        if (!nodes_[root].is_root || verdicts[root].fate != Fate::goes) {
            continue;
        }
        std::vector<Node> family{root};
        seen[root] = root + 1;
        const auto add = [&](Node node) {
            if (verdicts[node].fate == Fate::goes && seen[node] != root + 1) {
                seen[node] = root + 1;
                family.push_back(node);
            }
        };
        for (std::size_t n = 0; n < family.size() && looks_left > 0; ++n, --looks_left) {
            std::ranges::for_each(must.of(family[n]), add);
            std::ranges::for_each(may.of(family[n]), add);
        }
        largest = std::max(largest, family.size());
    }
    return largest;
}

} // namespace pgcleanup::core
