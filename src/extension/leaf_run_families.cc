// The part of a leaf table's run that goes family by family.
#include "extension/leaf_run.h"

#include "pg/text.h"

namespace pgcleanup {

using core::BlockRange;
using core::FamilyGraph;
using pg::concat;

namespace {

// Rows that are looked at together when it is told why they stay.
constexpr std::ptrdiff_t rows_of_look = 1000;

std::string name_of(Oid table)
{
    return pg::relation_name(topmost_table(table));
}

} // namespace

void LeafRun::run_families(const WorkUnit& unit, std::int64_t done_units)
{
    std::optional<pg::PgError> error;
    do {
        check_bounds();
        is_part_ = false;
        error = try_first(unit, std::exchange(done_units, 0));
    } while (!error && is_part_);
    if (!error) {
        lock_failures_ = 0;
        return;
    }
    rows_sizer_.shrink();
    settle_families(unit, *error, done_units);
}

void LeafRun::settle_families(const WorkUnit& unit, const pg::PgError& error, std::int64_t done_units)
{
    check_bounds();
    const bool is_lock = classify(error) == BatchFailure::lock;
    if (is_lock && ++lock_failures_ > most_lock_failures) {
        lock_failures_ = 0;
        note_locked_unit(unit, error);
        return;
    }
    const auto* blocks = std::get_if<BlockRange>(&unit);
    const RowIds rows = blocks != nullptr ? collect(*blocks) : std::get<RowIds>(unit);
    if (rows.size() > 1) {
        const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
        run_families(RowIds(rows.begin(), middle), 0);
        run_families(RowIds(middle, rows.end()), done_units);
    } else if (is_lock) {
        remember(unit);
    } else if (!rows.empty()) {
        set_failed(rows.front(), error);
        check_failing_rows(error);
    }
}

void LeafRun::count_left_families(BlockRange blocks)
{
    const RowIds rows = collect(blocks);
    std::map<std::string, RowIds> blocked;
    RowIds stayed;
    for (auto begin = rows.begin(); begin != rows.end();) {
        const auto end = begin + std::min<std::ptrdiff_t>(rows.end() - begin, rows_of_look);
        classify_left(RowIds(begin, end), blocked, stayed);
        begin = end;
    }
    for (const auto& [tables, ids] : blocked)
        skipped_.add(concat("referenced by rows that stay in ", tables), static_cast<std::int64_t>(ids.size()),
                     sample(ids));
    if (stayed_samples_.empty())
        stayed_samples_ = sample(stayed);
    stayed_ += static_cast<std::int64_t>(stayed.size());
}

void LeafRun::classify_left(const RowIds& rows, std::map<std::string, RowIds>& blocked, RowIds& stayed)
{
    try {
        look([&] {
            const FamilyGatherer gatherer(batches_.family_statements(), GatherMode::look);
            pg::Spi spi;
            const Family family = gatherer.gather(spi, leaf_, rows);
            for (FamilyGraph::Node node = 0; node < family.given_roots; ++node) {
                const FamilyGraph::Verdict& verdict = family.verdicts[node];
                if (verdict.fate == FamilyGraph::Fate::blocked)
                    blocked[name_of(verdict.table)].push_back(rows[node]);
                else
                    stayed.push_back(rows[node]);
            }
            return true;
        });
    } catch (const FamilyTooLarge&) {
        const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
        classify_left(RowIds(rows.begin(), middle), blocked, stayed);
        classify_left(RowIds(middle, rows.end()), blocked, stayed);
    }
}

} // namespace pgcleanup
