#include "extension/leaf_run.h"

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
// How often a table may be rewritten under a run.
constexpr int most_rewrites = 8;
constexpr int lock_attempts = 6;
constexpr milliseconds lock_pause{100};
constexpr milliseconds longest_lock_pause{2000};

microseconds target_duration(const TaskRequest& request)
{
    return milliseconds(request.batch_target_ms);
}

} // namespace

core::Backoff lock_backoff()
{
    return {lock_pause, longest_lock_pause, lock_attempts};
}

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

bool LeafRun::try_look(const std::function<void()>& read)
{
    try {
        OwnerTransaction transaction(context_.session, context_.lock_timeout);
        batches_.enter(transaction, AccessShareLock);
        read();
        transaction.commit();
        return true;
    } catch (const pg::PgError& error) {
        if (classify(error) != BatchFailure::lock)
            throw;
        return false;
    }
}

void LeafRun::retry_look(const std::function<void()>& read)
{
    core::Backoff backoff = lock_backoff();
    while (!try_look(read)) {
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
    for (const BlockRange part : core::parts_of(*blocks, collected_blocks)) {
        check_bounds();
        redo(part, part.end - part.begin);
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

} // namespace pgcleanup
