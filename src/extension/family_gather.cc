#include "extension/family_gather.h"

#include <unordered_set>

namespace pgcleanup {

using core::FamilyGraph;
using core::RowPlace;
using Node = FamilyGraph::Node;

namespace {

// One gathering. A *member* is a row that goes if nothing is in its way: it is locked, and its links are followed. Rows
// that only block are nodes, too, and become members when something takes them along.
class Gathering {
public:
    Gathering(FamilyStatements& statements, GatherMode mode, const core::RowSet* gone, const RefusedRows* refused,
              LinkWatch* watch, pg::Spi& spi, std::size_t most_rows)
        : statements_(statements), links_(statements.links()), mode_(mode), gone_(gone), refused_(refused),
          watch_(watch), spi_(spi), most_rows_(most_rows), most_climbed_(std::min(most_rows, most_rows_of_batch))
    {
    }

    Family gather(Oid leaf, const RowIds& roots, bool given_are_due, bool is_bounded)
    {
        family_.given_roots = roots.size();
        family_.given_are_due = given_are_due;
        is_bounded_ = is_bounded || roots.size() > 1;
        for (const ItemPointerData& id : roots)
            add_root(place_of(leaf, id));
        do {
            expand();
        } while (pull_in_ties());
        look_for_users();
        do {
            family_.verdicts = family_.graph.decide();
        } while (lock_changes());
        return std::move(family_);
    }

private:
    using NodesOfLeaves = std::map<Oid, std::vector<Node>>;

    bool is_gone(const RowPlace& row) const { return gone_ != nullptr && gone_->contains(row); }
    RowLock lock_of(RowLock lock) const { return mode_ == GatherMode::lock ? lock : RowLock::none; }
    std::size_t most_linked() const { return is_bounded_ ? 2 * most_rows_ : SIZE_MAX - 1; }

    void check_size() const
    {
        if (is_bounded_ && (family_.graph.size() > most_rows_ || family_.changed.size() > 2 * most_rows_))
            throw FamilyTooLarge();
    }

    Node add(const RowPlace& row)
    {
        const auto [node, is_new] = family_.graph.add(row);
        if (is_new) {
            is_member_.push_back(false);
            if (refused_ != nullptr && refused_->deletes.contains(row))
                family_.graph.set_refused(node);
        }
        return node;
    }

    void add_root(const RowPlace& row)
    {
        const Node node = add(row);
        family_.graph.set_root(node);
        is_member_[node] = true;
        frontier_[row.table].push_back(node);
    }

    void make_member(Node node)
    {
        if (is_member_[node])
            return;
        is_member_[node] = true;
        pending_[family_.graph.row(node).table].push_back(node);
    }

    RowIds ids_of(const std::vector<Node>& nodes) const
    {
        RowIds ids;
        ids.reserve(nodes.size());
        for (const Node node : nodes)
            ids.push_back(row_id_of(family_.graph.row(node)));
        return ids;
    }

    // -- downwards

    // Follows the links of all members, level by level. Each level is locked before the next is read, with a newer
    // snapshot: nothing can come to reference a row once it is locked.
    void expand()
    {
        while (!frontier_.empty()) {
            const NodesOfLeaves level = std::exchange(frontier_, {});
            for (const auto& [leaf, nodes] : level)
                for (const std::size_t link : links_.down(leaf))
                    follow(link, leaf, ids_of(nodes));
            admit_pending();
        }
    }

    void follow(std::size_t link, Oid leaf, const RowIds& given)
    {
        const FamilyLink& facts = links_.all()[link];
        // Where rows are taken for gone, it matters which ones they are.
        const bool is_any_enough = !links_.may_go(facts.to) || (facts.is_absolute && gone_ == nullptr);
        if (facts.kind == LinkKind::blocker && is_any_enough) {
            const RowIds blocked = statements_.blocked(spi_, link, leaf, given);
            for (const ItemPointerData& id : blocked)
                family_.graph.set_blocked(add(place_of(leaf, id)), facts.to);
            tell_blocked(link, leaf, blocked);
            return;
        }
        const std::vector<LinkedRows> linked = statements_.down(spi_, link, leaf, given, most_linked());
        if (linked.size() > most_linked())
            throw FamilyTooLarge();
        for (const LinkedRows& pair : linked) {
            const RowPlace row = place_of(pair.table, pair.other);
            const Node node = add(place_of(leaf, pair.given));
            if (row == family_.graph.row(node))
                continue;
            if (watch_ != nullptr)
                watch_->linked(link, node, row);
            if (!is_gone(row))
                tie(link, node, row);
            check_size();
        }
    }

    void tell_blocked(std::size_t link, Oid leaf, const RowIds& blocked)
    {
        if (watch_ == nullptr || blocked.empty())
            return;
        for (const ItemPointerData& id : blocked)
            watch_->blocked(link, add(place_of(leaf, id)));
        if (!watch_->wants_every_blocker())
            return;
        for (const LinkedRows& pair : statements_.down(spi_, link, leaf, blocked, SIZE_MAX - 1)) {
            const RowPlace row = place_of(pair.table, pair.other);
            if (row != place_of(leaf, pair.given))
                watch_->linked(link, add(place_of(leaf, pair.given)), row);
        }
    }

    void tie(std::size_t link, Node node, const RowPlace& row)
    {
        const FamilyLink& facts = links_.all()[link];
        switch (facts.kind) {
        case LinkKind::change:
            family_.changed.push_back({node, link, row});
            return;
        case LinkKind::blocker:
            // When another owner's row goes is up to the order of the constraints, and not known.
            if (facts.is_absolute || !links_.is_ours(row.table))
                family_.graph.set_blocked(node, facts.to);
            else
                add_blocker(node, row);
            return;
        case LinkKind::must:
        case LinkKind::may:
            take_along(facts, node, row);
        }
    }

    void add_blocker(Node node, const RowPlace& row)
    {
        const Node blocker = add(row);
        family_.graph.add_blocker(node, blocker);
        if (!is_member_[blocker])
            ties_.push_back(blocker);
    }

    void take_along(const FamilyLink& facts, Node node, const RowPlace& row)
    {
        // No constraint would take another owner's row along, and we may not.
        if (!OidIsValid(facts.constraint) && !links_.is_ours(row.table)) {
            family_.graph.set_blocked(node, facts.to);
            return;
        }
        const Node other = add(row);
        make_member(other);
        if (facts.kind == LinkKind::must) {
            family_.graph.add_must(node, other);
            return;
        }
        family_.graph.add_may(node, other);
        if (shared_.insert(other).second)
            shared_by_leaf_[row.table].push_back(other);
    }

    void admit_pending()
    {
        for (const auto& [leaf, nodes] : std::exchange(pending_, {})) {
            if (!links_.is_ours(leaf)) {
                // Left to the constraint; what it takes along, and what blocks it, is looked at all the same.
                frontier_.emplace(leaf, nodes);
                continue;
            }
            const RowIds ids = ids_of(nodes);
            const RowIds locked = mode_ == GatherMode::lock ? statements_.lock(spi_, leaf, ids, RowLock::update) : ids;
            admit(leaf, locked);
            for (const Node node : nodes)
                if (!is_among(row_id_of(family_.graph.row(node)), locked))
                    family_.graph.set_locked(node);
        }
    }

    bool is_among(const ItemPointerData& id, const RowIds& ids) const
    {
        return mode_ == GatherMode::look || std::binary_search(ids.begin(), ids.end(), id, row_id_less);
    }

    // Rows of the target that are taken along and are eligible themselves are roots, too.
    void admit(Oid leaf, const RowIds& ids)
    {
        if (ids.empty())
            return;
        for (const ItemPointerData& id : ids)
            frontier_[leaf].push_back(add(place_of(leaf, id)));
        if (!links_.is_target(leaf))
            return;
        for (const ItemPointerData& id : statements_.eligible(spi_, leaf, ids, RowLock::none))
            family_.graph.set_root(add(place_of(leaf, id)));
    }

    // -- upwards

    // Blockers that nothing takes along so far: eligible rows that would are made roots. True when there were any.
    bool pull_in_ties()
    {
        NodesOfPlaces level;
        for (const Node node : std::exchange(ties_, {}))
            if (!is_member_[node] && climbed_.add(family_.graph.row(node)))
                level[family_.graph.row(node).table].push_back(row_id_of(family_.graph.row(node)));
        bool found = false;
        while (!level.empty() && climbed_.size() <= most_climbed_) {
            NodesOfPlaces next;
            for (const auto& [leaf, ids] : level) {
                found = pull_in(leaf, ids) || found;
                for (const std::size_t link : links_.up(leaf))
                    if (links_.all()[link].takes_along())
                        climb(link, leaf, ids, next);
            }
            level = std::move(next);
        }
        return found;
    }

    using NodesOfPlaces = std::map<Oid, RowIds>;

    void climb(std::size_t link, Oid leaf, const RowIds& ids, NodesOfPlaces& next)
    {
        const std::vector<LinkedRows> linked = statements_.up(spi_, link, leaf, ids, most_climbed_);
        for (const LinkedRows& pair : linked) {
            const RowPlace row = place_of(pair.table, pair.other);
            const auto known = family_.graph.find(row);
            if (is_gone(row) || (known && is_member_[*known]))
                continue;
            if (climbed_.size() <= most_climbed_ && climbed_.add(row))
                next[row.table].push_back(pair.other);
        }
    }

    bool pull_in(Oid leaf, const RowIds& ids)
    {
        if (!links_.is_target(leaf) || !links_.is_ours(leaf))
            return false;
        bool found = false;
        for (const ItemPointerData& id : statements_.eligible(spi_, leaf, ids, lock_of(RowLock::update))) {
            const auto known = family_.graph.find(place_of(leaf, id));
            if (known && is_member_[*known])
                continue;
            add_root(place_of(leaf, id));
            found = true;
        }
        return found;
    }

    // -- in the end

    // Rows of the target that need a shared row, once all rows that may go are known.
    void look_for_users()
    {
        for (const auto& [leaf, nodes] : shared_by_leaf_)
            for (const std::size_t link : links_.up(leaf))
                if (links_.all()[link].kind == LinkKind::may)
                    look_for_users(link, leaf, ids_of(nodes));
    }

    void look_for_users(std::size_t link, Oid leaf, const RowIds& ids)
    {
        // One more user than there are nodes is one that is none of them.
        const auto most_each = static_cast<std::int64_t>(family_.graph.size()) + 1;
        for (const LinkedRows& pair : statements_.users(spi_, link, leaf, ids, most_each)) {
            const RowPlace user = place_of(pair.table, pair.other);
            if (is_gone(user))
                continue;
            const Node shared = add(place_of(leaf, pair.given));
            const auto known = family_.graph.find(user);
            if (known)
                family_.graph.add_user(shared, *known);
            else
                family_.graph.set_needed(shared);
        }
    }

    // Rows that constraints are going to change must be free; true when the decision has to be made anew because some
    // are not.
    bool lock_changes()
    {
        std::map<Oid, RowIds> wanted;
        for (const ChangedRow& change : family_.changes())
            if (changes_seen_.add(change.row))
                wanted[change.row.table].push_back(row_id_of(change.row));
        core::RowSet locked;
        core::RowSet refused;
        for (const auto& [leaf, ids] : wanted) {
            // Rows of other owners are the constraints' to lock.
            const bool can_lock = mode_ == GatherMode::lock && links_.is_ours(leaf);
            const RowIds free = can_lock ? statements_.lock(spi_, leaf, ids, RowLock::no_key_update) : RowIds();
            for (const ItemPointerData& id : ids) {
                if (refused_ != nullptr && refused_->changes.contains(place_of(leaf, id)))
                    refused.add(place_of(leaf, id));
                else if (can_lock && !is_among(id, free))
                    locked.add(place_of(leaf, id));
            }
        }
        for (const ChangedRow& change : family_.changed) {
            if (refused.contains(change.row))
                family_.graph.set_refused(change.node);
            else if (locked.contains(change.row))
                family_.graph.set_locked(change.node);
        }
        return !locked.empty() || !refused.empty();
    }

    FamilyStatements& statements_;
    const FamilyLinks& links_;
    GatherMode mode_;
    const core::RowSet* gone_;
    const RefusedRows* refused_;
    LinkWatch* watch_;
    pg::Spi& spi_;
    std::size_t most_rows_;
    std::size_t most_climbed_; // rows looked at upwards: beyond them, rows that are tied wait for others to go first
    bool is_bounded_ = true;
    Family family_;
    std::vector<bool> is_member_; // by node
    NodesOfLeaves frontier_;      // members whose links are to be followed
    NodesOfLeaves pending_;       // members to be locked
    std::vector<Node> ties_;      // rows that block, and were not looked at upwards yet
    core::RowSet climbed_;
    std::unordered_set<Node> shared_;
    NodesOfLeaves shared_by_leaf_;
    core::RowSet changes_seen_;
};

} // namespace

ItemPointerData row_id_of(const RowPlace& place)
{
    ItemPointerData id;
    ItemPointerSet(&id, place.block, place.offset);
    return id;
}

std::vector<ChangedRow> Family::changes() const
{
    std::vector<ChangedRow> list;
    core::RowSet seen;
    for (const ChangedRow& change : changed) {
        if (!goes(change.node))
            continue;
        const auto node = graph.find(change.row);
        if ((!node || !goes(*node)) && seen.add(change.row))
            list.push_back(change);
    }
    return list;
}

Family FamilyGatherer::gather(pg::Spi& spi, Oid leaf, const RowIds& roots, std::size_t most_rows) const
{
    return Gathering(statements_, mode_, gone_, refused_, watch_, spi, most_rows).gather(leaf, roots, true, false);
}

Family FamilyGatherer::gather_bounded(pg::Spi& spi, Oid leaf, const RowIds& roots, std::size_t most_rows) const
{
    return Gathering(statements_, mode_, gone_, refused_, watch_, spi, most_rows).gather(leaf, roots, true, true);
}

Family FamilyGatherer::gather_dependents(pg::Spi& spi, Oid leaf, const RowIds& rows, std::size_t most_rows) const
{
    return Gathering(statements_, mode_, gone_, refused_, watch_, spi, most_rows).gather(leaf, rows, false, true);
}

} // namespace pgcleanup
