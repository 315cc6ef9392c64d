// The part of a leaf table's run that deals with batches that fail: too long, a lock, a row.
#include "extension/leaf_run.h"

#include "core/row_bisection.h"
#include "pg/text.h"

namespace pgcleanup {

using core::BlockRange;
using pg::concat;
using std::chrono::milliseconds;

namespace {

// Units in a row that could not even lock the free rows: then the table is locked, and the rest would fare no better.
constexpr int most_locked_units = 3;

} // namespace

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
    core::Backoff backoff = lock_backoff();
    for (;;) {
        const std::optional<pg::PgError> error = try_batch(unit, BatchMode::lock_first, done_units);
        if (!error) {
            lock_failures_ = 0;
            return;
        }
        if (classify(*error) == BatchFailure::row) {
            const auto* blocks = std::get_if<BlockRange>(&unit);
            isolate(blocks != nullptr ? take(*blocks) : std::get<RowIds>(unit), *error, done_units);
            return;
        }
        // Rows were free, but something else is locked: the table itself, or rows that a constraint or trigger needs.
        if (batches_.has_dependents()) {
            halve_for_lock(unit, *error, done_units);
            return;
        }
        const std::optional<milliseconds> pause = backoff.next();
        if (!pause) {
            note_locked_unit(unit, *error);
            return;
        }
        pg::wait_for_latch(*pause);
        check_bounds();
    }
}

// A dependent row that is locked holds up the one row that it goes with.
void LeafRun::halve_for_lock(const WorkUnit& unit, const pg::PgError& error, std::int64_t done_units)
{
    check_bounds();
    if (++lock_failures_ > most_lock_failures) {
        lock_failures_ = 0;
        note_locked_unit(unit, error);
        return;
    }
    const auto* blocks = std::get_if<BlockRange>(&unit);
    const RowIds rows = blocks != nullptr ? take(*blocks) : std::get<RowIds>(unit);
    if (rows.size() < 2) {
        remember(unit);
        return;
    }
    const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
    redo_lock_first(RowIds(rows.begin(), middle), 0);
    redo_lock_first(RowIds(middle, rows.end()), done_units);
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

} // namespace pgcleanup
