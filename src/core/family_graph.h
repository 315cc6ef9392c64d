#pragma once

#include "core/row_set.h"

#include <optional>
#include <utility>
#include <vector>

namespace pgcleanup::core {

// The rows that could go in one batch, how they hang together, and which of them may go.
//
// A row goes only with a reason: it is a root (due by itself), a row that takes it along goes (add_must), or a row that
// shares it goes and nobody else needs it (add_may). It may go only together with every row that it must take along,
// and with every row that blocks it by referencing it. decide() finds the greatest set of roots that may go together,
// and all that goes with them: rows that block each other, and would all go, go.
//
// Costs are linear in rows and edges, but for loops of rows that only keep each other going.
class FamilyGraph {
public:
    using Node = std::uint32_t;

    enum class Fate : std::uint8_t {
        goes,
        blocked, // a row that stays references it, or one that it must take along
        locked,  // it, a row that it must take along, or a row that blocks it, is another session's at the moment
        refused, // a trigger keeps it, or a row that it must take along
        not_due, // nothing takes it along
    };
    struct Verdict {
        Fate fate = Fate::goes;
        std::uint32_t table = 0; // of the row that blocks, or is locked

        bool operator==(const Verdict&) const = default;
    };

    // The node of a row, and whether it is new.
    std::pair<Node, bool> add(const RowPlace& row);
    [[nodiscard]] std::optional<Node> find(const RowPlace& row) const;
    [[nodiscard]] const RowPlace& row(Node node) const { return nodes_.at(node).row; }
    [[nodiscard]] std::size_t size() const { return nodes_.size(); }

    void set_root(Node node) { nodes_.at(node).is_root = true; }
    [[nodiscard]] bool is_root(Node node) const { return nodes_.at(node).is_root; }
    // It may not go: another session has it, or has changed it.
    void set_locked(Node node) { nodes_.at(node).is_locked = true; }
    // It may not go: a trigger was seen to keep it.
    void set_refused(Node node) { nodes_.at(node).is_refused = true; }
    // A row of `table` that is not in the graph, and stays, references it in a way that blocks.
    void set_blocked(Node node, std::uint32_t table);
    // A row that is not in the graph, and stays, still needs it: no add_may() is a reason for it to go.
    void set_needed(Node node) { nodes_.at(node).is_needed = true; }

    // When `from` goes, `to` goes.
    void add_must(Node from, Node to) { must_.push_back({from, to}); }
    // When `from` goes, `shared` goes if nothing blocks it, and nobody else needs it; otherwise it stays.
    void add_may(Node from, Node shared) { may_.push_back({from, shared}); }
    // `user` needs `shared` as long as it stays.
    void add_user(Node shared, Node user) { users_.push_back({user, shared}); }
    // `blocker` references `referenced`, which cannot go before it.
    void add_blocker(Node referenced, Node blocker) { blockers_.push_back({blocker, referenced}); }

    // One verdict for each node.
    [[nodiscard]] std::vector<Verdict> decide() const;
    // The rows of the largest family that goes: a root with all that it takes along. A lower bound, where looking at
    // every root would cost too much.
    [[nodiscard]] std::size_t largest_family(const std::vector<Verdict>& verdicts) const;

private:
    friend class FamilyDecision;
    struct Edge {
        Node from;
        Node to;
    };
    struct NodeFacts {
        RowPlace row;
        bool is_root = false;
        bool is_locked = false;
        bool is_refused = false;
        bool is_needed = false;
        bool is_blocked = false;
        std::uint32_t blocked_by = 0;
    };
    void grow();
    [[nodiscard]] std::size_t slot_of(const RowPlace& row) const;

    std::vector<NodeFacts> nodes_;
    std::vector<Node> slots_; // open addressing: a node's number and one, or 0
    std::vector<Edge> must_;
    std::vector<Edge> may_;
    std::vector<Edge> users_;    // user -> shared
    std::vector<Edge> blockers_; // blocker -> referenced
};

} // namespace pgcleanup::core
