// One batch: one committed transaction that removes, or updates, what is still eligible of a unit of work, and counts
// it.
#pragma once

#include "extension/definition_watch.h"
#include "extension/family_removal.h"
#include "extension/leaf_statements.h"
#include "extension/owner_session.h"
#include "extension/run_record.h"
#include "extension/task_channel.h"

namespace pgcleanup {

// What a run learns of families on its way.
struct FamilyNotes {
    std::size_t largest = 0; // rows of the largest family that is beyond pg_cleanup.max_family_rows
};

// What every batch of a policy's run needs.
struct RunContext {
    const TaskRequest& request;
    const ChannelState& channel;
    const OwnerSession& session;
    const Policy& policy;
    std::string fingerprint; // of the policy when the run began
    DefinitionWatch& watch;
    RunRecord& record;
    std::chrono::milliseconds lock_timeout;
    double row_width; // of what a batch frees
    FamilyLinks& links;
    FamilyNotes& notes;
    const RowUpdate* update = nullptr; // what becomes of the rows; null: they go
    RemovalHook* hook = nullptr;       // what else is done with rows that go
};

// Thrown when the leaf table is no longer part of the target: there is nothing more to do in it.
struct LeafGone {};

struct BatchResult {
    std::int64_t rows = 0;
    LeftBehind left;         // counted only where something can stay behind
    std::int64_t vetoed = 0; // locked by us, and yet not deleted (or updated): a trigger kept them
    bool is_part = false;    // of one family that is split: the same unit again
    bool has_moved = false;  // rows of the leaf table were changed by constraints or triggers, and are elsewhere
};

enum class BatchMode {
    optimistic, // one plain statement: fast, and the first to give way to the application
    lock_first, // lock what is free, skip the rest, then delete (or update)
};

// A batch that takes many times its target is undone, so that its locks do not hold the application up; or it takes as
// long as it takes.
enum class Patience { limited, unlimited };
class BatchTooLong {};

// What an error of a batch means for the rows in it.
enum class BatchFailure { lock, row, cancel, fatal };
BatchFailure classify(const pg::PgError& error);

// Throws RunStopped when the target is not the session's any more: code of its new owner must not run in it. Needs a
// lock on the target or on one of its leaf tables.
void check_owner(const OwnerSession& session, const Policy& policy);

class BatchRunner {
public:
    BatchRunner(const RunContext& context, const Eligibility& eligibility, LeafStatements& statements,
                ReferenceRule rule);

    // Locks the leaf table for the rest of the transaction, by its OID, and then makes sure that everything still means
    // what it meant when the run began: throws RunStopped otherwise, or LeafGone. First in every transaction that names
    // the table.
    void enter(OwnerTransaction& transaction, LOCKMODE lock);
    // Carries out one batch and commits it. Throws PgError or BatchTooLong with nothing done, RunStopped or LeafGone.
    BatchResult attempt(const WorkUnit& unit, BatchMode mode, Patience patience, std::int64_t done_units);
    // Whether rows of other tables, or more of this one, may go or change with a row.
    bool has_dependents() const { return !dependents_.empty(); }
    // Whether rows go by families: every batch locks first, and decides for itself what a reference blocks.
    bool uses_families() const noexcept { return rule_ == ReferenceRule::families; }
    FamilyStatements& family_statements() noexcept { return family_statements_; }

private:
    void lock_dependents() const;
    void check_definition();
    // How an attempt at a batch goes, and what earlier ones at the same unit have shown.
    struct Attempt {
        BatchMode mode;
        Patience patience;
        RemovalWay way = RemovalWay::one_statement;
        bool gathers_everything = false; // the constraints alone have raised an error
        RefusedRows refused = {};
        int times = 0;
    };
    // Of what one batch deletes: rows of the target, by leaf table.
    using TargetRows = std::map<Oid, std::int64_t>;

    void look_at_dependents();
    // Whether the due rows alone may be deleted: nothing is archived, and no relation takes rows along.
    bool may_leave_it_to_constraints() const;
    void note_family_size(const BatchCounters& counters, RemovalWay way) const;
    std::vector<DependentChange> dependent_counts() const;
    BatchResult carry_out(const WorkUnit& unit, Attempt& attempt, std::int64_t done_units);
    BatchResult attempt_families(const WorkUnit& unit, Attempt& attempt, std::int64_t done_units);
    // False: the error of the batch, which was rolled back, is the end of it.
    bool take_another_way(const pg::PgError& error, Attempt& attempt) const;
    std::int64_t take(const WorkUnit& unit);
    std::int64_t take_rows(const WorkUnit& unit, BatchMode mode, BatchResult& result);
    TargetRows remove(const WorkUnit& unit, Attempt& attempt, OwnerTransaction& transaction, BatchResult& result);
    TargetRows remove_families(const WorkUnit& unit, Attempt& attempt, OwnerTransaction& transaction,
                               BatchResult& result);
    FamilyCounts remove_roots(pg::Spi& spi, FamilyRemoval& removal, const RowIds& roots, Attempt& attempt);
    // A family of more rows than a batch gathers, by its root; nothing when it must be gathered all the same.
    std::optional<FamilyCounts> remove_large(pg::Spi& spi, FamilyRemoval& removal, const RowIds& roots,
                                             Attempt& attempt);
    // Of a family that is larger than pg_cleanup.max_family_rows, a part that may go before the rest; nothing when the
    // family must go whole, or is no such family.
    std::optional<FamilyCounts> remove_part(pg::Spi& spi, FamilyRemoval& removal, const RowIds& roots,
                                            const Attempt& attempt);
    TargetRows remove_within_limit(const WorkUnit& unit, Attempt& attempt, OwnerTransaction& transaction,
                                   BatchResult& result);
    bool cancel_was_requested() const;

    const RunContext& context_;
    LeafStatements& statements_;
    FamilyStatements family_statements_;
    ReferenceRule rule_;
    std::vector<Oid> dependents_;
    core::RowPlace split_root_; // the last row whose family was found to be unblocked, and is split since
    RowIds updated_;            // by the batch that is being carried out
    bool rows_can_stay_ = false;
    bool constraints_know_families_ = false;
    RemovalWay first_way_ = RemovalWay::one_statement;
};

} // namespace pgcleanup
