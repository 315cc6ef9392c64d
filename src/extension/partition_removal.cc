#include "extension/partition_removal.h"

#include "core/backoff.h"
#include "extension/leaf_statements.h"
#include "extension/policy_state.h"
#include "pg/subtransaction.h"
#include "pg/text.h"

extern "C" {
#include "catalog/partition.h"
}

namespace pgcleanup {

using pg::concat;
using pg::pg_call;
using std::chrono::milliseconds;

namespace {

constexpr int lock_attempts = 6;
constexpr milliseconds lock_pause{100};
constexpr milliseconds longest_lock_pause{2000};
// Partitions in a row that stayed locked: whoever is in the way is most likely in the way of the rest, too.
constexpr int most_locked_partitions = 3;

// Why a partition's rows go one by one; undoes the transaction.
struct Refused {
    std::string reason;
};

// Of the time that others may have to wait for us: a quarter is left for the removal itself and the commit.
milliseconds time_for_locks(const RunContext& context)
{
    return context.lock_timeout * 3 / 4;
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

// Without a partition descriptor, which is costly to build when there are many.
bool is_last_partition(Oid parent)
{
    return pg_call([&] {
        const int partitions = list_length(find_inheritance_children(parent, NoLock));
        return partitions - (OidIsValid(get_default_partition_oid(parent)) ? 1 : 0) < 2;
    });
}

bool exists(Oid relation)
{
    return pg_call([&] { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); });
}

// By statement, so that event triggers and whoever logs statements see it. A name can be given to something else at any
// time but for this: what it did is looked at, and undone when it was not what was meant.
void drop(Oid partition)
{
    pg::Spi spi;
    spi.run(concat("DROP TABLE ", pg::relation_name(partition)));
    if (exists(partition))
        throw Refused{"its name changed meanwhile"};
}

void detach(Oid partition, Oid parent)
{
    pg::Spi spi;
    spi.run(concat("ALTER TABLE ", pg::relation_name(parent), " DETACH PARTITION ", pg::relation_name(partition)));
    if (pg_call([&] { return get_rel_relispartition(partition); }))
        throw Refused{"its name changed meanwhile"};
}

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

void PartitionRemoval::check_still_the_targets(Oid partition) const
{
    check_owner(context_.session, context_.policy);
    if (!is_leaf_of(partition, context_.policy.target))
        throw LeafGone{};
}

// The partition and everything below it, top down. VACUUM and changes of definitions are kept out from now on, whoever
// reads or writes is not.
std::vector<Oid> PartitionRemoval::keep_vacuum_out(Oid partition) const
{
    pg_call([&] { LockRelationOid(partition, ShareUpdateExclusiveLock); });
    check_still_the_targets(partition);
    std::vector<Oid> members;
    const List* all = pg_call([&] { return find_all_inheritors(partition, ShareUpdateExclusiveLock, nullptr); });
    for (int n = 0; n < list_length(all); ++n)
        members.push_back(list_nth_oid(all, n));
    return members;
}

// With every lock that the removal needs: nothing of this can change any more, and what is committed by now is seen.
void PartitionRemoval::check_nothing_in_the_way(std::span<const Oid> members)
{
    const Oid partition = members.front();
    check_still_the_targets(partition);
    const AgeColumn age = age_column();
    if (age.number != age_.number || age.type != age_.type)
        throw RunStopped{"failed", "the policy is broken: what it refers to was changed during the run"};
    const std::vector<Oid> above = tables_above(partition);
    if (const auto reason = obstacles_.find(members, above).among(members, above))
        throw Refused{*reason};
    if (is_last_partition(above.front()))
        throw Refused{"it is the last partition of its table"};
}

// From the top down, as every query locks: who is in the way of a lower lock is then not waiting for a higher one.
PartitionRows PartitionRemoval::remove_locked(std::span<const Oid> members, PartitionContents& contents)
{
    const Oid partition = members.front();
    const std::vector<Oid> above = tables_above(partition);
    const Oid parent = above.front();
    const TimeBoundedLocks locks(time_for_locks(context_));
    for (auto table = above.rbegin(); *table != parent; ++table)
        locks.take(*table, AccessShareLock);
    locks.take(parent, AccessExclusiveLock);
    if (const Oid other = default_partition(parent); OidIsValid(other))
        locks.take(other, AccessExclusiveLock);
    for (const Oid member : members)
        locks.take(member, AccessExclusiveLock);
    if (!drops_)
        for (const Oid table : referenced_tables(members))
            locks.take(table, ShareRowExclusiveLock);
    const PartitionRows rows = contents.settle(locks);
    if (contents.some_stay())
        throw Refused{"it has rows that stay"};
    if (limits_.rows_left && rows.rows > *limits_.rows_left)
        throw Refused{"it has more rows than max_rows leaves"};
    check_nothing_in_the_way(members);
    if (drops_)
        drop(partition);
    else
        detach(partition, parent);
    return rows;
}

void PartitionRemoval::carry_out(const PartitionUnit& unit)
{
    OwnerTransaction transaction(context_.session, context_.lock_timeout);
    context_.record.check_control();
    const std::vector<Oid> members = keep_vacuum_out(unit.top);
    PartitionContents contents(eligibility_, members);
    contents.look();
    if (contents.some_stay())
        throw Refused{"it has rows that stay"};
    if (!contents.settles_within(time_for_locks(context_) / 2))
        throw Refused{"to count its rows under a lock would take too long; VACUUM would make that faster"};
    const std::string name = pg::relation_name(unit.top);
    const PartitionRows rows = remove_locked(members, contents);
    context_.record.add_partition({name, drops_, rows.rows, rows.bytes, unit.blocks});
    transaction.commit();
    if (limits_.rows_left)
        *limits_.rows_left -= rows.rows;
}

std::optional<std::string> PartitionRemoval::remove(const PartitionUnit& unit)
{
    core::Backoff backoff(lock_pause, longest_lock_pause,
                          locked_in_a_row_ < most_locked_partitions ? lock_attempts : 0);
    for (;;) {
        check_limits(context_, limits_);
        try {
            carry_out(unit);
            context_.record.committed();
            locked_in_a_row_ = 0;
            return std::nullopt;
        } catch (const Refused& refused) {
            context_.record.rolled_back();
            return refused.reason;
        } catch (const LocksTakeTooLong&) {
            context_.record.rolled_back();
        } catch (const pg::PgError& error) {
            context_.record.rolled_back();
            if (error.is_cancel())
                throw RunStopped{"cancelled", "cancelled while a partition was removed, which was rolled back"};
            if (classify(error) != BatchFailure::lock) {
                if (!is_refusal(error))
                    throw;
                return error.fields().message;
            }
        }
        const std::optional<milliseconds> pause = backoff.next();
        if (!pause) {
            ++locked_in_a_row_;
            return "another session kept a lock on it, or on its table";
        }
        pg::wait_for_latch(*pause);
    }
}

} // namespace pgcleanup
