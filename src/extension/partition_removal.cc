#include "extension/partition_removal.h"

#include "core/backoff.h"
#include "extension/leaf_statements.h"
#include "extension/policy_state.h"
#include "pg/statement_limit.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

extern "C" {
#include "catalog/partition.h"
}

namespace pgcleanup {

using pg::concat;
using pg::pg_call;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr int lock_attempts = 6;
constexpr milliseconds lock_pause{100};
constexpr milliseconds longest_lock_pause{2000};
// Partitions in a row that stayed locked: whoever is in the way is most likely in the way of the rest, too.
constexpr int most_locked_partitions = 3;
// Partitions that go in one transaction; bounds the locks that it takes, too.
constexpr std::size_t most_together = 32;

// Of the time that others may have to wait for us: a quarter is left for the removal itself and the commit.
milliseconds time_for_locks(const RunContext& context)
{
    return context.lock_timeout * 3 / 4;
}

// For the removal itself, however little others may have to wait.
constexpr milliseconds least_time_to_remove{50};

// How long several partitions may be removed one after the other, before somebody else gets his turn.
microseconds time_to_hold(const RunContext& context)
{
    return context.lock_timeout / 4;
}

// The partition and everything below it, locked from the top down. One that is split further only goes as the first,
// which may wait.
std::vector<Oid> members_below(Oid partition, bool is_first)
{
    if (!is_first)
        return pg_call([&] { return get_rel_relkind(partition); }) == RELKIND_RELATION ? std::vector<Oid>{partition}
                                                                                       : std::vector<Oid>();
    std::vector<Oid> members;
    const List* all = pg_call([&] { return find_all_inheritors(partition, ShareUpdateExclusiveLock, nullptr); });
    members.reserve(static_cast<std::size_t>(list_length(all)));
    for (int n = 0; n < list_length(all); ++n)
        members.push_back(list_nth_oid(all, n));
    return members;
}

// Tables that the partitions reference: detaching makes their foreign keys anew.
std::vector<Oid> referenced_tables(std::span<const Oid> members)
{
    std::vector<Oid> tables;
    for (const Oid member : members) {
        const List* keys = pg_call([&] {
            Relation relation = relation_open(member, NoLock);
            const List* found = static_cast<List*>(copyObjectImpl(RelationGetFKeyList(relation)));
            relation_close(relation, NoLock);
            return found;
        });
        for (int n = 0; n < list_length(keys); ++n)
            tables.push_back(static_cast<const ForeignKeyCacheInfo*>(list_nth(keys, n))->confrelid);
    }
    std::sort(tables.begin(), tables.end());
    tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
    return tables;
}

// Beside a DEFAULT one; without a partition descriptor, which is costly to build when there are many.
std::size_t partition_count(Oid table)
{
    return pg_call([&] {
        const auto partitions = static_cast<std::size_t>(list_length(find_inheritance_children(table, NoLock)));
        return OidIsValid(get_default_partition_oid(table)) ? partitions - 1 : partitions;
    });
}

bool exists(Oid relation)
{
    return pg_call([&] { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); });
}

[[noreturn]] void raise_other_table(Oid partition)
{
    pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = concat("another table took the name of partition ", partition)});
}

// By statement, so that event triggers and whoever logs statements see it. A name can be given to something else at any
// time but for this: what it did is looked at, and undone when it was not what was meant.
void drop(Oid partition)
{
    pg::Spi spi;
    spi.run(concat("DROP TABLE ", pg::relation_name(partition)));
    if (exists(partition))
        raise_other_table(partition);
}

void detach(Oid partition, Oid parent)
{
    pg::Spi spi;
    spi.run(concat("ALTER TABLE ", pg::relation_name(parent), " DETACH PARTITION ", pg::relation_name(partition)));
    if (pg_call([&] { return get_rel_relispartition(partition); }))
        raise_other_table(partition);
}

// The removal ran, and was stopped: others wait for it.
struct RemovalTakesTooLong {};

// Errors after which the rows can still be deleted: PostgreSQL, or an event trigger, does not want it done.
bool is_refusal(const pg::PgError& error)
{
    const int category = ERRCODE_TO_CATEGORY(error.sqlstate());
    return !pg::is_transient(error) && category != ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR);
}

} // namespace

PartitionRemoval::PartitionRemoval(const RunContext& context, const Eligibility& eligibility, RunLimits& limits)
    : context_(context), eligibility_(eligibility), limits_(limits), drops_(context.policy.partitions == "drop"),
      obstacles_(pg::extension(), context.policy, context.session.owner), age_(age_column())
{
    if (fingerprint(context.policy) != context.fingerprint)
        throw RunStopped{"failed", "the policy is broken: what it refers to was changed during the run"};
}

AgeColumn PartitionRemoval::age_column() const
{
    return resolve_age_column(context_.policy.target, *context_.policy.age_column, context_.policy.age_unit);
}

bool PartitionRemoval::is_still_the_targets(Oid partition) const
{
    check_owner(context_.session, context_.policy);
    return is_leaf_of(partition, context_.policy.target);
}

// Keeps VACUUM and changes of definitions out of the partition and everything below it, from the top down, and counts;
// whoever reads or writes goes on. Nothing for one that can only be the first of several and is not; that is also one
// that cannot be read until `end`.
std::optional<PartitionRemoval::Candidate> PartitionRemoval::look_at(const PartitionUnit& unit, bool is_first,
                                                                     LockQueue& queue, microseconds end) const
{
    if (is_first)
        pg_call([&] { LockRelationOid(unit.top, ShareUpdateExclusiveLock); });
    else if (!pg_call([&] { return ConditionalLockRelationOid(unit.top, ShareUpdateExclusiveLock); }))
        return std::nullopt;
    if (!is_still_the_targets(unit.top)) {
        if (is_first)
            throw LeafGone{};
        return std::nullopt;
    }
    std::vector<Oid> members = members_below(unit.top, is_first);
    if (members.empty())
        return std::nullopt;
    queue.add(members);
    PartitionContents contents(eligibility_, members, unit.contents_decide);
    const bool was_read =
        contents.look([&] { return (is_first || pg::elapsed_clock() < end) && !queue.keeps_somebody_waiting(); });
    if (!was_read && is_first)
        throw LocksTakeTooLong();
    if (!was_read)
        return std::nullopt;
    std::optional<std::string> reason;
    if (contents.some_stay())
        reason = "it has rows that stay";
    else if (!contents.settles_within(time_for_locks(context_) / 2))
        reason = "to count its rows under a lock would take too long; VACUUM would make that faster";
    if (reason && is_first)
        throw Refused{*reason};
    if (reason)
        return std::nullopt;
    return Candidate{std::move(members), tables_above(unit.top), std::move(contents), pg::relation_name(unit.top),
                     unit.blocks};
}

// Those of the first units that can go together: direct partitions of one table.
std::vector<PartitionRemoval::Candidate> PartitionRemoval::candidates(std::span<const PartitionUnit> units) const
{
    std::vector<Candidate> found;
    const microseconds end = pg::elapsed_clock() + milliseconds(context_.request.batch_target_ms);
    LockQueue queue;
    for (const PartitionUnit& unit : units.first(std::min(units.size(), together_))) {
        std::optional<Candidate> candidate = look_at(unit, found.empty(), queue, end);
        if (!candidate || (!found.empty() && candidate->above != found.front().above))
            break;
        queue.add(candidate->above);
        found.push_back(*std::move(candidate));
        if (pg::elapsed_clock() >= end)
            break;
    }
    return found;
}

// With the locks on everything above: what concerns the table cannot change any more, and what is committed by now is
// seen. Leaves out the first candidate that something is in the way of, and all behind it.
void PartitionRemoval::check_nothing_in_the_way(std::vector<Candidate>& found)
{
    // To read the rows may have taken minutes.
    context_.record.check_control();
    const AgeColumn age = age_column();
    if (age.number != age_.number || age.type != age_.type)
        throw RunStopped{"failed", "the policy is broken: what it refers to was changed during the run"};
    const std::vector<Oid>& above = found.front().above;
    std::vector<Oid> all;
    for (const Candidate& candidate : found)
        all.insert(all.end(), candidate.members.begin(), candidate.members.end());
    const PartitionObstacles obstacles = obstacles_.find(all, above);
    const auto reason_for = [&](const Candidate& candidate) -> std::optional<std::string> {
        if (!is_still_the_targets(candidate.members.front()) || tables_above(candidate.members.front()) != above)
            return "it was moved in the tree of partitions during the run";
        // Bounds of its own cannot have changed, but those above may have.
        if (above.size() > 1 && !candidate.contents.bounds_still_prove())
            return "bounds above it were changed during the run";
        return obstacles.among(candidate.members, above);
    };
    for (std::size_t n = 0; n < found.size(); ++n) {
        const std::optional<std::string> reason = reason_for(found[n]);
        if (reason && n == 0)
            throw Refused{*reason};
        if (reason)
            found.erase(found.begin() + static_cast<std::ptrdiff_t>(n), found.end());
    }
    const std::size_t may_go = partition_count(above.front()) - 1;
    if (may_go == 0)
        throw Refused{"it is the last partition of its table"};
    if (found.size() > may_go)
        found.erase(found.begin() + static_cast<std::ptrdiff_t>(may_go), found.end());
}

// Whether the locks could be had: the first candidate waits for them within the time, any other does not wait at all.
bool PartitionRemoval::lock_out(const Candidate& candidate, const TimeBoundedLocks& locks, bool is_first) const
{
    const auto lock = [&](Oid relation, LOCKMODE mode) {
        if (!is_first)
            return pg_call([&] { return ConditionalLockRelationOid(relation, mode); });
        locks.take(relation, mode);
        return true;
    };
    const auto lock_out_of = [&](Oid member) { return lock(member, AccessExclusiveLock); };
    const auto keep_from_writing = [&](Oid table) { return lock(table, ShareRowExclusiveLock); };
    return std::ranges::all_of(candidate.members, lock_out_of) &&
           (drops_ || std::ranges::all_of(referenced_tables(candidate.members), keep_from_writing));
}

// False when its turn is another time; then nothing was done to it.
bool PartitionRemoval::remove_one(Candidate& candidate, const TimeBoundedLocks& locks, std::int64_t rows_before)
{
    const bool is_first = removing_ == 0;
    if (!lock_out(candidate, locks, is_first))
        return false;
    candidate.rows = candidate.contents.settle(locks);
    if (candidate.contents.some_stay())
        throw Refused{"it has rows that stay"};
    if (limits_.rows_left && rows_before + candidate.rows.rows > *limits_.rows_left) {
        if (is_first)
            throw Refused{"it has more rows than max_rows leaves"};
        return false;
    }
    remove_within_limit(candidate, locks);
    return true;
}

// Event triggers are anybody's code, and all that use the table wait for it.
void PartitionRemoval::remove_within_limit(const Candidate& candidate, const TimeBoundedLocks& locks) const
{
    const auto left = std::chrono::duration_cast<milliseconds>(locks.end() - pg::elapsed_clock());
    const pg::StatementLimit limit(std::max(least_time_to_remove, left + context_.lock_timeout / 4));
    try {
        if (drops_)
            drop(candidate.members.front());
        else
            detach(candidate.members.front(), candidate.above.front());
    } catch (const pg::PgError& error) {
        if (error.is_cancel() && limit.passed())
            throw RemovalTakesTooLong();
        throw;
    }
}

// From the top down, as every query locks: who is in the way of a lower lock is then not waiting for a higher one.
void PartitionRemoval::remove_locked(std::vector<Candidate>& found)
{
    const std::vector<Oid> above = found.front().above;
    const TimeBoundedLocks locks(time_for_locks(context_));
    for (auto table = above.rbegin(); *table != above.front(); ++table)
        locks.take(*table, AccessShareLock);
    locks.take(above.front(), AccessExclusiveLock);
    const microseconds end = pg::elapsed_clock() + time_to_hold(context_);
    if (const Oid other = default_partition(above.front()); OidIsValid(other))
        locks.take(other, AccessExclusiveLock);
    check_nothing_in_the_way(found);
    std::int64_t rows = 0;
    for (removing_ = 0; removing_ < found.size(); ++removing_) {
        if (removing_ > 0 && pg::elapsed_clock() >= std::min(end, locks.end()))
            break;
        if (!remove_one(found[removing_], locks, rows))
            break;
        rows += found[removing_].rows.rows;
    }
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(removing_), found.end());
}

std::size_t PartitionRemoval::carry_out(std::span<const PartitionUnit> units)
{
    removing_ = 0;
    OwnerTransaction transaction(context_.session, context_.lock_timeout);
    context_.record.check_control();
    std::vector<Candidate> found = candidates(units);
    const std::size_t looked_at = found.size();
    remove_locked(found);
    std::vector<RemovedPartition> removed;
    std::int64_t rows = 0;
    for (const Candidate& candidate : found) {
        removed.push_back({candidate.name, candidate.rows.rows, candidate.rows.bytes, candidate.blocks});
        rows += candidate.rows.rows;
    }
    context_.record.add_partitions(removed, drops_);
    transaction.commit();
    if (limits_.rows_left)
        *limits_.rows_left -= rows;
    together_ = found.size() < looked_at ? found.size() : std::min(most_together, 2 * together_);
    return found.size();
}

PartitionRemoval::Result PartitionRemoval::remove(std::span<const PartitionUnit> units)
{
    core::Backoff backoff(lock_pause, longest_lock_pause,
                          locked_in_a_row_ < most_locked_partitions ? lock_attempts : 0);
    for (;;) {
        check_limits(context_, limits_);
        const std::optional<Refused> refused = attempt(units);
        if (!refused) {
            locked_in_a_row_ = 0;
            return {removed_, ""};
        }
        // What failed was not the first of them: on its own it will be.
        if (removing_ > 0 && together_ > 1) {
            together_ = 1;
            continue;
        }
        if (!refused->reason.empty())
            return {0, refused->reason};
        const std::optional<milliseconds> pause = backoff.next();
        if (!pause) {
            ++locked_in_a_row_;
            return {0, was_slow_ ? "to remove it took longer than others may wait"
                                 : "another session kept a lock on it, or on its table"};
        }
        pg::wait_for_latch(*pause);
    }
}

// Nothing when it worked; an empty reason when it was a matter of locks, or of time.
std::optional<PartitionRemoval::Refused> PartitionRemoval::attempt(std::span<const PartitionUnit> units)
{
    was_slow_ = false;
    try {
        removed_ = carry_out(units);
        context_.record.committed();
        return std::nullopt;
    } catch (const Refused& refused) {
        context_.record.rolled_back();
        return refused;
    } catch (const LocksTakeTooLong&) {
        context_.record.rolled_back();
        return Refused{""};
    } catch (const RemovalTakesTooLong&) {
        context_.record.rolled_back();
        was_slow_ = true;
        return Refused{""};
    } catch (const pg::PgError& error) {
        context_.record.rolled_back();
        if (error.is_cancel())
            throw RunStopped{"cancelled", "cancelled while a partition was removed, which was rolled back"};
        if (classify(error) == BatchFailure::lock)
            return Refused{""};
        if (!is_refusal(error))
            throw;
        return Refused{error.fields().message};
    }
}

} // namespace pgcleanup
