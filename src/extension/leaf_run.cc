#include "extension/leaf_run.h"

#include "core/backoff.h"
#include "core/row_bisection.h"
#include "pg/text.h"

#include <iterator>

namespace pgcleanup {

using core::BlockRange;
using pg::concat;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

// A batch starts small and grows to what the target duration allows: 16 blocks are about a thousand rows.
constexpr std::int64_t first_blocks = 16;
constexpr std::int64_t most_blocks = 8192;
// The row ids of a batch that locks first, or updates, are in memory: 256 * 291 * 6 bytes.
constexpr std::int64_t most_locked_blocks = 256;
constexpr std::int64_t first_rows = 1000;
// Where rows take others along: nobody knows how many.
constexpr std::int64_t first_rows_with_dependents = 8;
constexpr std::int64_t most_rows = 100'000;
// Blocks whose row ids are held in memory at a time: 64 * 291 * 6 bytes.
constexpr std::uint32_t collected_blocks = 64;
constexpr int lock_attempts = 6;
constexpr milliseconds lock_pause{100};
constexpr milliseconds longest_lock_pause{2000};
// A chain of rows of one table that reference each other goes from its end, one link a pass.
constexpr int most_passes = 64;
// Units in a row that could not even lock the free rows: then the table is locked, and the rest would fare no better.
constexpr int most_locked_units = 3;
// How often a table may be rewritten under a run.
constexpr int most_rewrites = 8;

microseconds target_duration(const TaskRequest& request)
{
    return milliseconds(request.batch_target_ms);
}

// The parts of a range whose row ids fit in memory.
std::vector<BlockRange> small_parts(BlockRange blocks)
{
    std::vector<BlockRange> parts;
    for (std::uint32_t begin = blocks.begin; begin < blocks.end; begin += collected_blocks)
        parts.push_back({begin, std::min(blocks.end, begin + collected_blocks)});
    return parts;
}

} // namespace

LeafRun::LeafRun(const RunContext& context, const Eligibility& eligibility, Oid leaf, RunLimits& limits,
                 SkippedReasons& skipped)
    : context_(context), eligibility_(eligibility), leaf_(leaf), limits_(limits), skipped_(skipped),
      skipped_elsewhere_(skipped), statements_(context.policy, eligibility, leaf, context.session.owner,
                                               reference_rule(context.policy, context.links), context.update),
      batches_(context, eligibility, statements_, reference_rule(context.policy, context.links)),
      rows_sizer_(
          target_duration(context.request),
          context.policy.batch_size.value_or(batches_.has_dependents() ? first_rows_with_dependents : first_rows), 1,
          context.policy.batch_size.value_or(most_rows))
{
}

bool LeafRun::takes_rows() const
{
    return context_.policy.batch_size.has_value() || limits_.rows_left.has_value() || batches_.has_dependents() ||
           rows_are_slow_;
}

void LeafRun::check_bounds() const
{
    check_limits(context_, limits_);
}

void LeafRun::walk(Strategy strategy)
{
    Oid file = current_file();
    for (int rewrites = 0; rewrites < most_rewrites; ++rewrites) {
        if (strategy == Strategy::index)
            walk_index();
        else
            walk_blocks();
        const Oid walked = std::exchange(file, current_file());
        if (file == walked)
            return;
        // The rows have moved, into blocks that were visited before, too.
        leftovers_ = LeafLeftovers();
        strategy = Strategy::block;
    }
    throw RunStopped{"partial", "stopped: the table was rewritten again and again during the run"};
}

void LeafRun::retry_look(const std::function<void()>& read)
{
    core::Backoff backoff(lock_pause, longest_lock_pause, lock_attempts);
    for (;;) {
        try {
            OwnerTransaction transaction(context_.session, context_.lock_timeout);
            batches_.enter(transaction, AccessShareLock);
            read();
            transaction.commit();
            return;
        } catch (const pg::PgError& error) {
            if (classify(error) != BatchFailure::lock)
                throw;
        }
        const std::optional<milliseconds> pause = backoff.next();
        if (!pause)
            throw RunStopped{"partial", concat("stopped: table ", context_.policy.target_name, " stayed locked")};
        pg::wait_for_latch(*pause);
        check_bounds();
    }
}

Oid LeafRun::current_file()
{
    return look([this] { return heap_file(leaf_); });
}

void LeafRun::walk_blocks()
{
    // Rows that are appended from now on are younger than the cutoff.
    const std::uint32_t end = look([this] { return block_count(leaf_); });
    core::BatchSizer sizer(target_duration(context_.request), first_blocks, 1,
                           statements_.holds_row_ids() || batches_.uses_families() ? most_locked_blocks : most_blocks);
    for (std::uint32_t begin = 0; begin < end;) {
        check_bounds();
        const bool by_rows = takes_rows();
        const auto size = static_cast<std::uint32_t>(by_rows ? collected_blocks : sizer.next());
        const BlockRange blocks{begin, begin + std::min(size, end - begin)};
        const std::int64_t done = blocks.end - blocks.begin;
        if (by_rows) {
            run_rows(take(blocks), done);
        } else {
            const microseconds start = pg::elapsed_clock();
            run_unit(blocks, done);
            sizer.record(done, pg::elapsed_clock() - start);
        }
        begin = blocks.end;
    }
}

void LeafRun::walk_index()
{
    IndexChunks chunks(eligibility_, leaf_);
    for (;;) {
        check_bounds();
        const std::optional<RowIds> chunk = look([&] { return chunks.next(); });
        if (!chunk) {
            walk_blocks();
            return;
        }
        if (chunk->empty())
            return;
        run_rows(*chunk, static_cast<std::int64_t>(chunk->size()));
    }
}

void LeafRun::run_rows(const RowIds& rows, std::int64_t done_units)
{
    std::size_t done = 0;
    while (done < rows.size()) {
        check_bounds();
        auto size = static_cast<std::size_t>(rows_sizer_.next());
        if (limits_.rows_left)
            size = std::min(size, static_cast<std::size_t>(*limits_.rows_left));
        size = std::min(size, rows.size() - done);
        const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(done);
        const microseconds start = pg::elapsed_clock();
        run_unit(RowIds(begin, begin + static_cast<std::ptrdiff_t>(size)), done + size == rows.size() ? done_units : 0);
        rows_sizer_.record(static_cast<std::int64_t>(size), pg::elapsed_clock() - start);
        done += size;
    }
}

BatchMode LeafRun::first_mode() const
{
    return statements_.must_lock_first() || batches_.uses_families() ? BatchMode::lock_first : BatchMode::optimistic;
}

// A unit that takes far too long is carried out in halves; a single row takes as long as it takes.
std::optional<pg::PgError> LeafRun::try_first(const WorkUnit& unit, std::int64_t done_units)
{
    const auto* rows = std::get_if<RowIds>(&unit);
    const bool is_one_row = rows != nullptr && rows->size() == 1;
    try {
        return try_batch(unit, first_mode(), done_units, is_one_row ? Patience::unlimited : Patience::limited);
    } catch (const BatchTooLong&) {
        rows_sizer_.shrink();
    }
    run_in_halves(unit, done_units);
    return std::nullopt;
}

void LeafRun::run_in_halves(const WorkUnit& unit, std::int64_t done_units)
{
    check_bounds();
    if (const auto* blocks = std::get_if<BlockRange>(&unit)) {
        const std::uint32_t middle = blocks->begin + (blocks->end - blocks->begin) / 2;
        if (middle == blocks->begin) {
            rows_are_slow_ = true;
            run_rows(take(*blocks), done_units);
            return;
        }
        run_unit(BlockRange{blocks->begin, middle}, middle - blocks->begin);
        run_unit(BlockRange{middle, blocks->end}, blocks->end - middle);
        return;
    }
    const auto& rows = std::get<RowIds>(unit);
    const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
    run_unit(RowIds(rows.begin(), middle), 0);
    run_unit(RowIds(middle, rows.end()), done_units);
}

void LeafRun::run_unit(const WorkUnit& unit, std::int64_t done_units)
{
    if (batches_.uses_families()) {
        run_families(unit, done_units);
        return;
    }
    const std::optional<pg::PgError> error = try_first(unit, done_units);
    if (!error)
        return;
    rows_sizer_.shrink();
    const auto* blocks = std::get_if<BlockRange>(&unit);
    if (blocks == nullptr) {
        if (classify(*error) == BatchFailure::lock)
            redo_lock_first(unit, done_units);
        else
            isolate(std::get<RowIds>(unit), *error, done_units);
        return;
    }
    // Smaller parts, in which a lock or a row that fails holds up less, and whose row ids fit in memory.
    for (const BlockRange part : small_parts(*blocks)) {
        check_bounds();
        redo(part, part.end - part.begin);
    }
}

void LeafRun::redo(const WorkUnit& unit, std::int64_t done_units)
{
    const std::optional<pg::PgError> error = try_first(unit, done_units);
    if (!error)
        return;
    if (classify(*error) == BatchFailure::lock)
        redo_lock_first(unit, done_units);
    else
        isolate(take(std::get<BlockRange>(unit)), *error, done_units);
}

void LeafRun::redo_lock_first(const WorkUnit& unit, std::int64_t done_units)
{
    core::Backoff backoff(lock_pause, longest_lock_pause, lock_attempts);
    for (;;) {
        const std::optional<pg::PgError> error = try_batch(unit, BatchMode::lock_first, done_units);
        if (!error)
            return;
        if (classify(*error) == BatchFailure::row) {
            const auto* blocks = std::get_if<BlockRange>(&unit);
            isolate(blocks != nullptr ? take(*blocks) : std::get<RowIds>(unit), *error, done_units);
            return;
        }
        // Rows were free, but something else is locked: the table itself, or rows that a constraint or trigger needs.
        const std::optional<milliseconds> pause = backoff.next();
        if (!pause) {
            note_locked_unit(unit, *error);
            return;
        }
        pg::wait_for_latch(*pause);
        check_bounds();
    }
}

void LeafRun::note_locked_unit(const WorkUnit& unit, const pg::PgError& error)
{
    remember(unit);
    if (++locked_units_ >= most_locked_units)
        throw RunStopped{"partial",
                         concat("stopped: another session keeps a lock that the deletes need; the last error: ",
                                error.fields().message)};
}

void LeafRun::isolate(const RowIds& rows, const pg::PgError& first, std::int64_t done_units)
{
    if (rows.empty())
        return;
    core::RowBisection parts(rows.size(), static_cast<std::size_t>(std::max(limits_.failing_rows_left, 1)));
    pg::PgError last = first;
    for (parts.failed(); const auto range = parts.next();) {
        check_bounds();
        const RowIds part(rows.begin() + static_cast<std::ptrdiff_t>(range->begin),
                          rows.begin() + static_cast<std::ptrdiff_t>(range->end));
        const std::optional<pg::PgError> error = try_batch(part, BatchMode::lock_first, std::exchange(done_units, 0));
        if (!error) {
            parts.succeeded();
        } else if (classify(*error) == BatchFailure::lock) {
            remember(part);
            parts.succeeded();
        } else {
            last = *error;
            if (range->size() == 1)
                set_failed(rows[range->begin], *error);
            parts.failed();
        }
    }
    // A batch of one row was known to fail when it came here.
    if (rows.size() == 1 && parts.failed_rows().size() == 1 && !leftovers_.failed.contains(rows.front()))
        set_failed(rows.front(), first);
    check_failing_rows(last);
}

void LeafRun::check_failing_rows(const pg::PgError& last) const
{
    if (limits_.failing_rows_left <= 0)
        throw RunStopped{"failed", concat("too many rows fail (pg_cleanup.max_failing_rows); the last error: ",
                                          last.fields().message)};
}

void LeafRun::set_failed(const ItemPointerData& row, const pg::PgError& error)
{
    if (leftovers_.failed.empty())
        removed_before_failure_ = removed_;
    leftovers_.failed.insert(row);
    --limits_.failing_rows_left;
    skipped_.add(concat(error.sqlstate_text(), ": ", error.fields().message), 1, sample({row}));
}

// A row may have failed for the sake of another one that has gone since, or may have gone with it.
void LeafRun::forget_failures()
{
    if (leftovers_.failed.empty() || removed_ == removed_before_failure_)
        return;
    skipped_ = skipped_elsewhere_;
    limits_.failing_rows_left += static_cast<int>(leftovers_.failed.size());
    for (const ItemPointerData& row : std::exchange(leftovers_.failed, {}))
        remember(RowIds{row});
}

std::vector<std::string> LeafRun::sample(const RowIds& rows)
{
    if (rows.empty())
        return {};
    return look([&] {
        pg::Spi spi;
        return statements_.sample_rows(spi, rows);
    });
}

std::optional<pg::PgError> LeafRun::try_batch(const WorkUnit& unit, BatchMode mode, std::int64_t done_units,
                                              Patience patience)
{
    try {
        const BatchResult result = batches_.attempt(unit, mode, patience, done_units);
        locked_units_ = 0;
        removed_ += result.rows;
        has_moved_ = has_moved_ || result.has_moved;
        is_part_ = result.is_part;
        vetoed_ += result.vetoed;
        if (limits_.rows_left)
            *limits_.rows_left -= result.rows;
        if (result.left.rows > 0 && !is_part_)
            remember(unit);
        return std::nullopt;
    } catch (const pg::PgError& error) {
        // One family at a time a trigger may have its way with the rest of it. But where each row goes by itself, a
        // trigger that reaches for other rows of the statement could reach any row, one after the other.
        if (error.sqlstate() == ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION && !batches_.uses_families())
            throw;
        switch (classify(error)) {
        case BatchFailure::cancel:
            throw RunStopped{"cancelled", "cancelled during a batch, which was rolled back"};
        case BatchFailure::fatal:
            throw;
        default:
            return error;
        }
    }
}

void LeafRun::remember(const WorkUnit& unit)
{
    if (const auto* blocks = std::get_if<BlockRange>(&unit)) {
        leftovers_.again.add(*blocks);
        return;
    }
    for (const ItemPointerData& row : std::get<RowIds>(unit)) {
        const BlockNumber block = ItemPointerGetBlockNumber(&row);
        leftovers_.again.add({block, block + 1});
    }
}

RowIds LeafRun::collect(BlockRange blocks)
{
    RowIds rows = look([&] {
        pg::Spi spi;
        return statements_.collect(spi, blocks);
    });
    std::erase_if(rows, [this](const ItemPointerData& row) { return leftovers_.failed.contains(row); });
    return rows;
}

RowIds LeafRun::take(BlockRange blocks)
{
    // What a reference blocks is not among the rows collected, and would not be missed by the batches.
    if (statements_.has_blockers()) {
        const std::int64_t blocked = look([&] {
            pg::Spi spi;
            return statements_.count_left(spi, blocks).blocked;
        });
        if (blocked > 0)
            leftovers_.again.add(blocks);
    }
    return collect(blocks);
}

std::int64_t LeafRun::try_left_again()
{
    const core::BlockRanges ranges = std::exchange(leftovers_.again, core::BlockRanges(4096));
    const std::int64_t removed_before = removed_;
    vetoed_ = 0;
    for (const BlockRange range : ranges) {
        for (const BlockRange part : small_parts(range)) {
            check_bounds();
            const RowIds rows = collect(part);
            leftovers_.again.add(part);
            if (rows.empty())
                continue;
            if (batches_.uses_families())
                run_rows(rows, 0);
            else
                redo_lock_first(rows, 0);
        }
    }
    return removed_ - removed_before;
}

void LeafRun::finish(bool try_again)
{
    if (try_again)
        forget_failures();
    for (int pass = 0; try_again && pass < most_passes; ++pass) {
        follow_moved_rows();
        if (leftovers_.again.empty())
            return;
        if (try_left_again() == 0 || !(statements_.has_blockers() || batches_.uses_families() || has_moved_))
            break;
    }
    if (try_again)
        follow_moved_rows();
    count_left();
}

// What a constraint or a trigger has changed is in another place, which the walk may have passed.
void LeafRun::follow_moved_rows()
{
    if (std::exchange(has_moved_, false))
        leftovers_.again.add({0, look([this] { return block_count(leaf_); })});
}

void LeafRun::count_left()
{
    for (const BlockRange range : leftovers_.again) {
        for (const BlockRange part : small_parts(range))
            count_left(part);
    }
    const std::int64_t vetoed = std::min(vetoed_, stayed_);
    skipped_.add("kept by a trigger", vetoed, stayed_samples_);
    skipped_.add("locked by another session", stayed_ - vetoed, stayed_samples_);
}

void LeafRun::count_left(BlockRange blocks)
{
    if (batches_.uses_families()) {
        count_left_families(blocks);
        return;
    }
    LeftBehind left;
    std::vector<std::string> blocked;
    const std::string blockers = look([&] {
        pg::Spi spi;
        left = statements_.count_left(spi, blocks);
        if (left.blocked == 0)
            return std::string();
        blocked = statements_.sample_blocked(spi, blocks);
        return statements_.blocker_names();
    });
    skipped_.add(concat("referenced by rows that stay in ", blockers), left.blocked, blocked);
    const RowIds failed = failed_rows(blocks);
    const std::int64_t stayed = left.rows - left.blocked - static_cast<std::int64_t>(failed.size());
    if (stayed <= 0)
        return;
    if (stayed_samples_.empty())
        stayed_samples_ = sample(collect(blocks));
    stayed_ += stayed;
}

RowIds LeafRun::failed_rows(BlockRange blocks) const
{
    RowIds rows;
    std::copy_if(leftovers_.failed.begin(), leftovers_.failed.end(), std::back_inserter(rows),
                 [&](const ItemPointerData& row) {
                     const BlockNumber block = ItemPointerGetBlockNumber(&row);
                     return block >= blocks.begin && block < blocks.end;
                 });
    return rows;
}

} // namespace pgcleanup
