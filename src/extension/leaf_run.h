// The run on one leaf table: walks its eligible rows unit by unit, and deals with what a batch meets.
#pragma once

#include "core/backoff.h"
#include "core/batch_sizer.h"
#include "extension/run_limits.h"
#include "extension/skipped.h"
#include "extension/strategy.h"

#include <functional>

namespace pgcleanup {

// Blocks whose row ids are held in memory at a time: 64 * 291 * 6 bytes.
inline constexpr std::uint32_t collected_blocks = 64;

// How often, and how long, a run waits for who locks what it needs.
core::Backoff lock_backoff();

class LeafRun {
public:
    LeafRun(const RunContext& context, const Eligibility& eligibility, Oid leaf, RunLimits& limits,
            SkippedReasons& skipped);

    // All units; throws RunStopped when a bound is reached, PgError for what no batch can go on after.
    void walk(Strategy strategy);
    // One more try for what stayed behind, then counts what still stays. Also after walk() was stopped by a bound.
    void finish(bool try_again);

private:
    // Halving finds the one row, or family, that is held up among a million within twenty attempts; when even more fail
    // in a row, something is locked that all of them need.
    static constexpr int most_lock_failures = 24;

    // Runs `read`, which only reads the leaf table, in a transaction of its own. Waits, within limits, for who locks
    // it.
    template <class F>
    auto look(F&& read)
    {
        std::optional<std::invoke_result_t<F>> result;
        retry_look([&] { result.emplace(read()); });
        return *std::move(result);
    }
    void retry_look(const std::function<void()>& read);
    // False when somebody has the table locked.
    bool try_look(const std::function<void()>& read);
    Oid current_file();
    void walk_blocks();
    void walk_index();
    void run_rows(const RowIds& rows, std::int64_t done_units);
    // Family by family: halves what fails, whatever the reason, until the one family is found that stays.
    void run_families(const WorkUnit& unit, std::int64_t done_units);
    void settle_families(const WorkUnit& unit, const pg::PgError& error, std::int64_t done_units);
    void count_left_families(core::BlockRange blocks);
    void classify_left(const RowIds& rows, std::map<std::string, RowIds>& blocked, RowIds& stayed);
    void check_failing_rows(const pg::PgError& last) const;
    void note_locked_unit(const WorkUnit& unit, const pg::PgError& error);
    BatchMode first_mode() const;
    void run_unit(const WorkUnit& unit, std::int64_t done_units);
    std::optional<pg::PgError> try_first(const WorkUnit& unit, std::int64_t done_units);
    void run_in_halves(const WorkUnit& unit, std::int64_t done_units);
    void redo(const WorkUnit& unit, std::int64_t done_units);
    void redo_lock_first(const WorkUnit& unit, std::int64_t done_units);
    void halve_for_lock(const WorkUnit& unit, const pg::PgError& error, std::int64_t done_units);
    void isolate(const RowIds& rows, const pg::PgError& first, std::int64_t done_units);
    void set_failed(const ItemPointerData& row, const pg::PgError& error);
    void forget_failures();
    std::optional<pg::PgError> try_batch(const WorkUnit& unit, BatchMode mode, std::int64_t done_units,
                                         Patience patience = Patience::unlimited);
    std::int64_t try_left_again();
    void follow_moved_rows();
    void count_left();
    void count_left(core::BlockRange blocks);
    std::vector<std::string> sample(const RowIds& rows);
    RowIds failed_rows(core::BlockRange blocks) const;
    void remember(const WorkUnit& unit);
    // Eligible rows that nothing blocks; take() also remembers where blocked ones stay behind.
    RowIds collect(core::BlockRange blocks);
    RowIds take(core::BlockRange blocks);
    void check_bounds() const;
    bool takes_rows() const;

    const RunContext& context_;
    const Eligibility& eligibility_;
    Oid leaf_;
    RunLimits& limits_;
    SkippedReasons& skipped_;
    const SkippedReasons skipped_elsewhere_; // before this leaf table
    LeafStatements statements_;
    BatchRunner batches_;
    core::BatchSizer rows_sizer_;
    LeafLeftovers leftovers_;
    int locked_units_ = 0;       // in a row
    int lock_failures_ = 0;      // attempts in a row, while units are halved
    bool is_part_ = false;       // the last batch was a part of one family: the same unit again
    bool has_moved_ = false;     // rows of this table were changed by constraints or triggers, and are elsewhere
    bool rows_are_slow_ = false; // so slow that one block is too much for a batch
    std::int64_t removed_ = 0;   // so far
    std::int64_t removed_before_failure_ = 0;
    std::int64_t vetoed_ = 0; // in the last pass
    std::int64_t stayed_ = 0; // neither blocked nor failing: vetoed, or locked
    std::vector<std::string> stayed_samples_;
};

} // namespace pgcleanup
