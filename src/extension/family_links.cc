#include "extension/family_links.h"

#include "extension/table_facts.h"
#include "extension/target.h"
#include "pg/text.h"

extern "C" {
#include "catalog/partition.h"
#include "catalog/pg_trigger.h"
}

namespace pgcleanup {

using pg::pg_call;

namespace {

LinkKind kind_of(const ForeignKey& key)
{
    return key.blocks() ? LinkKind::blocker : key.cascades() ? LinkKind::must : LinkKind::change;
}

// Whether rows of `leaf` are rows of `table`.
bool is_part_of(Oid leaf, Oid table)
{
    return leaf == table || pg_call([&] {
               return get_rel_relispartition(leaf) && list_member_oid(get_partition_ancestors(leaf), table);
           });
}

// `leaf`, or the nearest table that it is a partition of and `reader` may read; `leaf` when there is none.
Oid readable_table(Oid leaf, Oid reader)
{
    if (may_read(leaf, reader) || !pg_call([&] { return get_rel_relispartition(leaf); }))
        return leaf;
    List* ancestors = pg_call([&] { return get_partition_ancestors(leaf); });
    for (int n = 0; n < list_length(ancestors); ++n)
        if (may_read(list_nth_oid(ancestors, n), reader))
            return list_nth_oid(ancestors, n);
    return leaf;
}

// Before, for each row, of this event (TRIGGER_TYPE_DELETE, TRIGGER_TYPE_UPDATE): such a trigger can keep the row.
bool has_keeping_trigger(Oid table, bool on_delete)
{
    for (const Oid leaf : leaves_of(table)) {
        const bool found = pg_call([&] {
            Relation relation = table_open(leaf, AccessShareLock);
            const TriggerDesc* triggers = relation->trigdesc;
            const bool has = triggers != nullptr &&
                             (on_delete ? triggers->trig_delete_before_row : triggers->trig_update_before_row);
            table_close(relation, AccessShareLock);
            return has;
        });
        if (found)
            return true;
    }
    return false;
}

// After, for each row, and by its name before the constraints' own triggers.
bool is_before_constraints(const Trigger& trigger)
{
    return trigger.tgenabled != TRIGGER_DISABLED && trigger.tgenabled != TRIGGER_FIRES_ON_REPLICA &&
           TRIGGER_FOR_AFTER(trigger.tgtype) && TRIGGER_FOR_ROW(trigger.tgtype) && TRIGGER_FOR_DELETE(trigger.tgtype) &&
           std::string_view(trigger.tgname) < "RI_ConstraintTrigger";
}

bool has_trigger_before_constraints(Oid table)
{
    for (const Oid leaf : leaves_of(table)) {
        const bool found = pg_call([&] {
            Relation relation = table_open(leaf, AccessShareLock);
            const TriggerDesc* triggers = relation->trigdesc;
            bool has = false;
            for (int n = 0; triggers != nullptr && n < triggers->numtriggers; ++n)
                has = has || is_before_constraints(triggers->triggers[n]);
            table_close(relation, AccessShareLock);
            return has;
        });
        if (found)
            return true;
    }
    return false;
}

bool may_be_kept(const FamilyLink& link)
{
    return (link.kind == LinkKind::must && has_keeping_trigger(link.to, true)) ||
           (link.kind == LinkKind::change && has_keeping_trigger(link.to, false));
}

// A table that several links lead to, or that leads back to itself, is not what one constraint alone takes care of.
bool is_a_tree(const FamilyLinks& links)
{
    std::vector<Oid> reached;
    for (const FamilyLink& link : links.all()) {
        if (link.kind == LinkKind::blocker)
            continue;
        const Oid table = topmost_table(link.to);
        const bool comes_back = link.kind == LinkKind::must && table == topmost_table(links.target());
        if (comes_back || std::ranges::find(reached, table) != reached.end())
            return false;
        reached.push_back(table);
    }
    return true;
}

} // namespace

FamilyLinks::FamilyLinks(const Policy& policy, Oid owner) : target_(policy.target), owner_(owner)
{
    add_keys(cascade_from(target_, owner_));
    for (const DeclaredRelation& relation : relations_of(policy))
        add_relation(relation);
    if (policy.on_reference == "follow")
        return;
    for (FamilyLink& link : links_) {
        link.is_absolute = OidIsValid(link.constraint) && is_part_of(link.from, target_);
        if (link.is_absolute)
            link.kind = LinkKind::blocker;
    }
}

void FamilyLinks::add_keys(const Cascade& cascade)
{
    const auto is_known = [&](const ForeignKey& key) {
        return std::ranges::any_of(links_, [&](const FamilyLink& link) {
            return link.constraint == key.constraint && link.from == key.referenced;
        });
    };
    for (const CascadeTable& table : cascade.tables) {
        for (const ForeignKey& key : table.keys) {
            if (!is_known(key))
                links_.push_back({.kind = kind_of(key),
                                  .from = key.referenced,
                                  .to = key.referencing,
                                  .match = reference_match(key, "p", "r"),
                                  .name = key.name,
                                  .constraint = key.constraint});
        }
    }
    unreadable_.insert(unreadable_.end(), cascade.unreadable.begin(), cascade.unreadable.end());
}

void FamilyLinks::add_relation(const DeclaredRelation& relation)
{
    const ForeignKey key = relation_key(relation, target_);
    const Oid topmost = topmost_table(target_);
    const Oid users = may_read(topmost, owner_) ? topmost : target_;
    links_.push_back({.kind = relation.unless_referenced ? LinkKind::may : LinkKind::must,
                      .from = target_,
                      .to = relation.related,
                      .match = reference_match(key, "p", "r"),
                      .name = key.name,
                      .users = users,
                      .users_are_indexed = relation.unless_referenced && unindexed_in_target(relation, users).empty()});
    add_keys(cascade_from(relation.related, owner_));
}

bool FamilyLinks::has_relations() const noexcept
{
    return std::ranges::any_of(links_, [](const FamilyLink& link) { return !OidIsValid(link.constraint); });
}

const FamilyLinks::LeafFacts& FamilyLinks::facts(Oid leaf) const
{
    const auto found = leaves_.find(leaf);
    if (found != leaves_.end())
        return found->second;
    LeafFacts facts;
    for (std::size_t n = 0; n < links_.size(); ++n) {
        if (is_part_of(leaf, links_[n].from))
            facts.down.push_back(n);
        if (is_part_of(leaf, links_[n].to))
            facts.up.push_back(n);
    }
    facts.is_target = is_part_of(leaf, target_);
    facts.is_ours = target_owner(leaf) == owner_;
    facts.readable = facts.is_ours ? leaf : readable_table(leaf, owner_);
    return leaves_.emplace(leaf, std::move(facts)).first->second;
}

const std::vector<std::size_t>& FamilyLinks::down(Oid leaf) const
{
    return facts(leaf).down;
}

const std::vector<std::size_t>& FamilyLinks::up(Oid leaf) const
{
    return facts(leaf).up;
}

bool FamilyLinks::is_target(Oid leaf) const
{
    return facts(leaf).is_target;
}

bool FamilyLinks::is_ours(Oid leaf) const
{
    return facts(leaf).is_ours;
}

Oid FamilyLinks::readable(Oid leaf) const
{
    return facts(leaf).readable;
}

bool FamilyLinks::may_go(Oid table) const
{
    const Oid topmost = topmost_table(table);
    return topmost == topmost_table(target_) || std::ranges::any_of(links_, [&](const FamilyLink& link) {
               return link.takes_along() && topmost == topmost_table(link.to);
           });
}

std::vector<Oid> FamilyLinks::touched_leaves() const
{
    std::vector<Oid> leaves = leaves_of(target_);
    for (const FamilyLink& link : links_) {
        if (link.kind == LinkKind::blocker)
            continue;
        for (const Oid leaf : leaves_of(link.to))
            leaves.push_back(leaf);
    }
    std::ranges::sort(leaves);
    leaves.erase(std::unique(leaves.begin(), leaves.end()), leaves.end());
    return leaves;
}

std::vector<Oid> FamilyLinks::referenced_first(std::vector<Oid> leaves) const
{
    std::vector<Oid> ordered;
    const auto references = [&](Oid referencing, Oid referenced) {
        return referencing != referenced && std::ranges::any_of(down(referenced), [&](std::size_t n) {
                   return OidIsValid(links_[n].constraint) && is_part_of(referencing, links_[n].to);
               });
    };
    while (!leaves.empty()) {
        const auto references_nothing = [&](Oid leaf) {
            return std::ranges::none_of(leaves, [&](Oid other) { return references(leaf, other); });
        };
        auto next = std::ranges::find_if(leaves, references_nothing);
        if (next == leaves.end())
            next = leaves.begin(); // a cycle: no order is right
        ordered.push_back(*next);
        leaves.erase(next);
    }
    return ordered;
}

bool constraints_know_families(const FamilyLinks& links)
{
    // What a constraint changes may go by another one, and which of them comes first is a matter of their names. Rows
    // of the target count one by one.
    const auto is_known = [&](const FamilyLink& link) {
        if (link.kind == LinkKind::blocker && !links.may_go(link.to))
            return true;
        return OidIsValid(link.constraint) && link.kind != LinkKind::change && !may_be_kept(link) &&
               topmost_table(link.to) != topmost_table(links.target()) &&
               std::ranges::all_of(leaves_of(link.to), [&](Oid leaf) { return links.is_ours(leaf); });
    };
    return std::ranges::all_of(links.all(), is_known);
}

bool needs_families(const Policy& policy, const FamilyLinks& links)
{
    if (policy.action == "archive" || policy.split_families || links.has_relations())
        return true;
    if (policy.action != "delete" || policy.on_reference != "follow")
        return false;
    const auto needs_order = [&](const FamilyLink& link) {
        return link.kind == LinkKind::blocker && links.may_go(link.to);
    };
    return !is_a_tree(links) || std::ranges::any_of(links.all(), needs_order) ||
           std::ranges::any_of(links.all(), may_be_kept);
}

bool acts_before_cascade(const FamilyLinks& links)
{
    return std::ranges::any_of(links.all(), [](const FamilyLink& link) {
        return link.kind == LinkKind::must && OidIsValid(link.constraint) && has_trigger_before_constraints(link.from);
    });
}

} // namespace pgcleanup
