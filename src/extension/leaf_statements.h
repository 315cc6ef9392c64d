// The statements of a run on one leaf table, composed once and kept prepared. All of them name ONLY the leaf: a row id
// is unique only there.
#pragma once

#include "core/block_ranges.h"
#include "extension/reference_rules.h"
#include "extension/row_ids.h"
#include "extension/row_update.h"
#include "extension/tid_plan.h"

#include <map>
#include <variant>

namespace pgcleanup {

// What one batch covers: whole blocks, or given rows.
using WorkUnit = std::variant<core::BlockRange, RowIds>;

// How many of a unit's rows are still eligible, and how many of those a reference blocks.
struct LeftBehind {
    std::int64_t rows = 0;
    std::int64_t blocked = 0;
};

class LeafStatements {
public:
    // `owner`: who runs them; what he cannot read is not probed for references. `update`: what becomes of the rows;
    // null when they go.
    LeafStatements(const Policy& policy, const Eligibility& eligibility, Oid leaf, Oid owner, ReferenceRule rule,
                   const RowUpdate* update = nullptr);

    Oid leaf() const noexcept { return leaf_; }
    // True when some constraint can block a row, so that rows may stay behind without being locked.
    bool has_blockers() const noexcept { return not_referenced_ != "true"; }

    // True when the test may depend on other rows (the newest ones of a group that stay, a condition with a subquery,
    // references that would be followed): then only rows that are locked already may be tested and deleted, or what a
    // session changed there while a delete waited for it would not be seen.
    bool must_lock_first() const noexcept { return must_lock_first_; }

    // Whether rows are changed, not removed.
    bool updates() const noexcept { return update_ != nullptr; }
    // True when a batch has the ids of all its rows in memory.
    bool holds_row_ids() const noexcept { return must_lock_first_ || updates(); }

    // The tables whose rows can block one, for people.
    std::string blocker_names() const;

    // Each needs an open Spi in an OwnerTransaction. Age and condition are tested in the statement itself.
    std::int64_t remove(pg::Spi& spi, const WorkUnit& unit);
    // In place of remove(), for a policy that updates: the row ids of the new versions.
    RowIds update(pg::Spi& spi, const WorkUnit& unit);
    // Raises object_not_in_prerequisite_state when one of the rows, as it is now, would be updated again. `rows`: what
    // update() returned, after every trigger has fired.
    void check_converged(pg::Spi& spi, const RowIds& rows);
    // Locks what it can without waiting.
    RowIds lock(pg::Spi& spi, const WorkUnit& unit);
    // Eligible rows that nothing blocks, as of now, without locking.
    RowIds collect(pg::Spi& spi, core::BlockRange blocks);
    LeftBehind count_left(pg::Spi& spi, const WorkUnit& unit);
    // The keys of a few rows that are still eligible, as JSON text: the primary key, or the row id.
    std::vector<std::string> sample_blocked(pg::Spi& spi, core::BlockRange blocks);
    std::vector<std::string> sample_rows(pg::Spi& spi, const RowIds& rows);

    // Composes and plans everything anew, after a definition changed: names may stand for something else now.
    void renew(ReferenceRule rule);

    // The key of the row `target`, as JSON text.
    std::string key_expression() const;

private:
    enum class Kind { remove, update, converged, lock, collect, count, sample, sample_blocked };
    std::string compose(Kind kind, bool by_blocks) const;
    const pg::Plan& plan(pg::Spi& spi, Kind kind, bool by_blocks);
    pg::Parameters parameters(Kind kind, const WorkUnit& unit) const;
    std::vector<std::string> keys(pg::Spi& spi, Kind kind, const WorkUnit& unit);
    bool depends_on_other_rows() const;

    const Eligibility& eligibility_;
    Oid leaf_;
    Oid owner_;
    const RowUpdate* update_;
    std::string name_;
    ReferenceRule rule_;
    std::string not_referenced_;
    bool must_lock_first_;
    bool warned_of_plan_ = false;
    std::map<std::pair<Kind, bool>, TidPlan> plans_;
};

// The heap tables to work on: the target itself, or the leaf partitions of a partitioned one.
std::vector<Oid> leaf_tables(Oid target);
// Whether `leaf` is the target or still one of its partitions: one that was dropped, or detached to be kept, is not.
bool is_leaf_of(Oid leaf, Oid target);
// Blocks of a table's main fork now.
std::uint32_t block_count(Oid leaf);
// The file that holds the rows now: another one after VACUUM FULL, CLUSTER, TRUNCATE or a rewriting ALTER TABLE.
Oid heap_file(Oid leaf);

} // namespace pgcleanup
