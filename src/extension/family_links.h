// What hangs together with the rows of a policy's target: foreign keys, and relations, as one kind of link.
#pragma once

#include "extension/cascade.h"
#include "extension/relation.h"

#include <map>

namespace pgcleanup {

enum class LinkKind {
    must,    // when the row `p` goes, the row `r` goes: CASCADE, or a relation without unless_referenced
    may,     // when every row of the target that matches `r` goes, `r` goes if nothing that stays blocks it; it never
             // keeps `p`: a relation with unless_referenced
    change,  // when `p` goes, a constraint changes `r`: SET NULL, SET DEFAULT
    blocker, // while `r` stays, `p` stays: RESTRICT, NO ACTION
};

struct FamilyLink {
    LinkKind kind = LinkKind::blocker;
    Oid from = InvalidOid;       // the table of `p`; may be partitioned
    Oid to = InvalidOid;         // the table of `r`; may be partitioned
    std::string match;           // a condition, without parentheses, over the aliases p and r
    std::string name;            // of the constraint, or of the relation's table, for people
    Oid constraint = InvalidOid; // InvalidOid: a relation
    // Whoever references the row keeps it, even if he would go himself: on_reference 'skip' and 'error'.
    bool is_absolute = false;
    // Of `may`: whose rows need `r` as long as they stay. The target, or what it is a partition of, as far as it may be
    // read: a row of another partition is of the same table for whoever wrote it.
    Oid users = InvalidOid;
    // An index leads with the columns of `users` in `match`.
    bool users_are_indexed = false;

    bool takes_along() const noexcept { return kind == LinkKind::must || kind == LinkKind::may; }
};

// The links that deletions from a policy's target can meet, at any depth, as far as `owner` may read. Catalogs only;
// inside a transaction.
class FamilyLinks {
public:
    FamilyLinks(const Policy& policy, Oid owner);

    bool has_relations() const noexcept;

    Oid target() const noexcept { return target_; }
    const std::vector<FamilyLink>& all() const noexcept { return links_; }
    // Keys of tables that `owner` may not read: their constraints act, or speak, when a row is deleted.
    const std::vector<ForeignKey>& unreadable() const noexcept { return unreadable_; }

    // By a leaf table, the links (indices of all()) in which its rows are `p`, or `r`.
    const std::vector<std::size_t>& down(Oid leaf) const;
    const std::vector<std::size_t>& up(Oid leaf) const;
    bool is_target(Oid leaf) const;
    // Whether rows of the leaf are `owner`'s to lock and delete. What goes in other tables is left to constraints.
    bool is_ours(Oid leaf) const;
    // The table by which `owner` may read the leaf's rows: itself, or a table that it is a partition of, which may be
    // granted to him alone.
    Oid readable(Oid leaf) const;
    // Whether rows of `table` (may be partitioned) can go at all: it is the target's, or some link takes them along.
    bool may_go(Oid table) const;
    // The leaf tables whose rows go or change with rows of the target, in no order; with the target's own leaves.
    std::vector<Oid> touched_leaves() const;
    // The same order for all leaves of one family: what is referenced comes before what references it, as far as there
    // is such an order.
    std::vector<Oid> referenced_first(std::vector<Oid> leaves) const;

private:
    void add_keys(const Cascade& cascade);
    void add_relation(const DeclaredRelation& relation);
    struct LeafFacts {
        std::vector<std::size_t> down;
        std::vector<std::size_t> up;
        bool is_target = false;
        bool is_ours = false;
        Oid readable = InvalidOid;
    };
    const LeafFacts& facts(Oid leaf) const;

    Oid target_;
    Oid owner_;
    std::vector<FamilyLink> links_;
    std::vector<ForeignKey> unreadable_;
    mutable std::map<Oid, LeafFacts> leaves_; // found out when asked, as there may be hundreds of partitions
};

// Whether constraints that see one row of the target deleted would delete its whole family as it is gathered, or raise
// an error when some row may not go, though perhaps also when all of them could go together. Takes AccessShareLock on
// dependent tables.
bool constraints_know_families(const FamilyLinks& links);

// Whether rows of the target need more than a plain DELETE that leaves the rest to the constraints: a graph in which an
// order matters, a trigger that could keep a dependent row, an action or an option that must know every row. Takes
// AccessShareLock on dependent tables.
bool needs_families(const Policy& policy, const FamilyLinks& links);

// Whether an AFTER DELETE trigger comes before the constraint that takes rows along by CASCADE: triggers fire by their
// names, and what it does to those rows the constraint finds done. Takes AccessShareLock on the referenced tables.
bool acts_before_cascade(const FamilyLinks& links);

} // namespace pgcleanup
