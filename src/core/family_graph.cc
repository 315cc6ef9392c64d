#include "core/family_graph.h"

namespace pgcleanup::core {

namespace {

constexpr std::size_t first_slots = 64;

} // namespace

std::size_t FamilyGraph::slot_of(const RowPlace& row) const
{
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash_of(row) & mask;
    while (slots_[slot] != 0 && nodes_[slots_[slot] - 1].row != row) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

void FamilyGraph::grow()
{
    slots_.assign(slots_.empty() ? first_slots : slots_.size() * 2, 0);
    for (Node node = 0; node < nodes_.size(); ++node) {
        slots_[slot_of(nodes_[node].row)] = node + 1;
    }
}

std::pair<FamilyGraph::Node, bool> FamilyGraph::add(const RowPlace& row)
{
    if (nodes_.size() * 2 >= slots_.size()) {
        grow();
    }
    Node& slot = slots_[slot_of(row)];
    if (slot != 0) {
        return {slot - 1, false};
    }
    nodes_.push_back({.row = row});
    slot = static_cast<Node>(nodes_.size());
    return {slot - 1, true};
}

std::optional<FamilyGraph::Node> FamilyGraph::find(const RowPlace& row) const
{
    if (slots_.empty()) {
        return std::nullopt;
    }
    const Node slot = slots_[slot_of(row)];
    return slot == 0 ? std::nullopt : std::optional<Node>(slot - 1);
}

void FamilyGraph::set_blocked(Node node, std::uint32_t table)
{
    nodes_.at(node).is_blocked = true;
    nodes_.at(node).blocked_by = table;
}

} // namespace pgcleanup::core
