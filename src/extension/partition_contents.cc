#include "extension/partition_contents.h"

#include "extension/leaf_statements.h"
#include "pg/statement_limit.h"
#include "pg/transaction.h"

namespace pgcleanup {

using pg::pg_call;

namespace {

// How many blocks are asked at a time for a row that stays: 32 MB.
constexpr std::uint32_t blocks_per_part = 4096;

std::int64_t pg_main_fork_bytes(Oid table)
{
    Relation relation = relation_open(table, AccessShareLock);
    const auto bytes = static_cast<std::int64_t>(RelationGetNumberOfBlocks(relation)) * BLCKSZ;
    const Oid toast = relation->rd_rel->reltoastrelid;
    relation_close(relation, AccessShareLock);
    return OidIsValid(toast) ? bytes + pg_main_fork_bytes(toast) : bytes;
}

} // namespace

std::int64_t stored_bytes(Oid leaf)
{
    return pg_call([&] { return pg_main_fork_bytes(leaf); });
}

PartitionContents::PartitionContents(const Eligibility& eligibility, std::span<const Oid> members, bool look_at_ages)
    : eligibility_(&eligibility), partition_(members.front()), look_at_ages_(look_at_ages)
{
    for (const Oid member : members) {
        if (pg_call([&] { return get_rel_relkind(member); }) != RELKIND_RELATION)
            continue;
        leaves_.push_back(member);
        rows_.emplace_back(member);
    }
}

bool PartitionContents::bounds_still_prove() const
{
    return judge_bounds(*eligibility_, partition_) == verdict_;
}

void PartitionContents::look_for_rows_that_stay()
{
    const auto holds_some = [&](Oid leaf) { return holds_rows_that_stay(*eligibility_, leaf); };
    if (look_at_ages_)
        some_stay_ = some_stay_ || std::ranges::any_of(leaves_, holds_some);
}

bool PartitionContents::look_for_rows_that_stay(const std::function<bool()>& may_go_on)
{
    for (const Oid leaf : leaves_) {
        const std::uint32_t end = block_count(leaf);
        for (std::uint32_t begin = 0; begin < end && !some_stay_; begin += blocks_per_part) {
            if (!may_go_on())
                return false;
            some_stay_ = holds_rows_that_stay(*eligibility_, leaf, {begin, begin + blocks_per_part});
        }
    }
    return true;
}

bool PartitionContents::look(const std::function<bool()>& may_go_on)
{
    // In this order: a row that comes after the blocks were read makes settle() ask again, one that came before is
    // seen.
    for (pg::LiveRows& rows : rows_)
        if (!rows.look(may_go_on))
            return false;
    if (look_at_ages_ && !look_for_rows_that_stay(may_go_on))
        return false;
    if (some_stay_)
        return true;
    verdict_ = judge_bounds(*eligibility_, partition_);
    some_stay_ = verdict_ != BoundsVerdict::all_due && !(look_at_ages_ && verdict_ == BoundsVerdict::past);
    return true;
}

bool PartitionContents::settles_within(std::chrono::microseconds limit)
{
    const std::chrono::microseconds end = pg::elapsed_clock() + limit;
    return std::ranges::all_of(rows_, [&](pg::LiveRows& rows) { return rows.settle(end).has_value(); });
}

PartitionRows PartitionContents::settle(const TimeBoundedLocks& locks)
{
    PartitionRows sum;
    bool changed = false;
    for (std::size_t n = 0; n < leaves_.size(); ++n) {
        const std::optional<std::int64_t> rows = rows_[n].settle(locks.end());
        if (!rows)
            throw LocksTakeTooLong();
        sum.rows += *rows;
        sum.bytes += stored_bytes(leaves_[n]);
        changed = changed || rows_[n].changed();
    }
    if (!changed)
        return sum;
    const pg::StatementLimit limit(locks.left());
    try {
        look_for_rows_that_stay();
    } catch (const pg::PgError& error) {
        if (error.is_cancel() && limit.passed())
            throw LocksTakeTooLong();
        throw;
    }
    return sum;
}

} // namespace pgcleanup
