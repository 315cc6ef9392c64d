#include "extension/batch.h"

#include "extension/family_split.h"
#include "extension/policy_state.h"
#include "extension/references.h"
#include "extension/run_checks.h"
#include "extension/settings.h"
#include "extension/target.h"
#include "pg/latest_snapshot.h"
#include "pg/statement_limit.h"
#include "pg/text.h"
#include "pg/transaction.h"

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

// PostgreSQL's own counters of this transaction: they see what constraints and triggers did, whoever's rights they
// used.
std::int64_t count_of(PGFunction counter, Oid table)
{
    return pg_call([&] { return DatumGetInt64(DirectFunctionCall1(counter, ObjectIdGetDatum(table))); });
}

// Whether a trigger can veto.
bool has_trigger_before_row(Oid leaf, CmdType command)
{
    return pg_call([&] {
        Relation relation = table_open(leaf, AccessShareLock);
        const TriggerDesc* triggers = relation->trigdesc;
        const bool found = triggers != nullptr && (command == CMD_UPDATE ? triggers->trig_update_before_row
                                                                         : triggers->trig_delete_before_row);
        table_close(relation, AccessShareLock);
        return found;
    });
}

// How long a batch may take before it is undone and halved. Far enough from the target that only what nobody could know
// gets there: the first batch of a table whose rows take very long, a trigger that waits.
std::chrono::milliseconds longest_batch(const TaskRequest& request)
{
    constexpr int times_the_target = 10;
    constexpr std::chrono::milliseconds least{1000};
    return std::max(least, std::chrono::milliseconds(request.batch_target_ms) * times_the_target);
}

std::vector<Oid> tables_to_count(const FamilyLinks& links, ReferenceRule rule, Oid leaf)
{
    // What references a row that is changed is not touched: no column of a referenced key is ever set.
    if (rule == ReferenceRule::none)
        return {};
    std::vector<Oid> tables;
    if (rule == ReferenceRule::families)
        tables = links.touched_leaves();
    // Also what the owner may not read: the constraints go there.
    for (const Oid dependent : dependents_of(rule == ReferenceRule::families ? links.target() : leaf)) {
        for (const Oid table : leaf_tables(dependent))
            tables.push_back(table);
    }
    std::sort(tables.begin(), tables.end());
    tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
    return tables;
}

// Of a family that is split, in one batch.
constexpr std::size_t most_rows_of_part = 10'000;

// Attempts at one unit: after so many triggers that keep one row after the other, rows are found by halving.
constexpr int most_attempts = 20;

} // namespace

BatchFailure classify(const pg::PgError& error)
{
    switch (error.sqlstate()) {
    case ERRCODE_LOCK_NOT_AVAILABLE:
    case ERRCODE_T_R_DEADLOCK_DETECTED:
    case ERRCODE_T_R_SERIALIZATION_FAILURE:
        return BatchFailure::lock;
    case ERRCODE_QUERY_CANCELED:
        return BatchFailure::cancel;
    case ERRCODE_RAISE_EXCEPTION:
    case ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION:
        return BatchFailure::row;
    default:
        break;
    }
    return ERRCODE_TO_CATEGORY(error.sqlstate()) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ? BatchFailure::row
                                                                                           : BatchFailure::fatal;
}

void check_owner(const OwnerSession& session, const Policy& policy)
{
    if (target_owner(policy.target) != session.owner)
        throw RunStopped{"failed", concat("table ", policy.target_name, " got another owner during the run")};
}

BatchRunner::BatchRunner(const RunContext& context, const Eligibility& eligibility, LeafStatements& statements,
                         ReferenceRule rule)
    : context_(context), statements_(statements), family_statements_(eligibility, context.links), rule_(rule)
{
    look_at_dependents();
}

void BatchRunner::look_at_dependents()
{
    dependents_ = tables_to_count(context_.links, rule_, statements_.leaf());
    rows_can_stay_ = statements_.has_blockers() ||
                     has_trigger_before_row(statements_.leaf(), statements_.updates() ? CMD_UPDATE : CMD_DELETE);
    constraints_know_families_ = uses_families() && context_.hook == nullptr && !context_.policy.split_families &&
                                 constraints_know_families(context_.links);
    // Such a trigger may save rows from the constraint; from our statement it could not.
    const bool constraints_first =
        uses_families() && may_leave_it_to_constraints() && acts_before_cascade(context_.links);
    first_way_ = constraints_first ? RemovalWay::roots_only : RemovalWay::one_statement;
}

bool BatchRunner::may_leave_it_to_constraints() const
{
    return context_.hook == nullptr && !context_.links.has_relations();
}

void BatchRunner::enter(OwnerTransaction& /*transaction*/, LOCKMODE lock)
{
    // Locking first makes every change of a definition that is committed by now known to the check; and what that finds
    // is to be locked as well, before anything is done by its name.
    constexpr int most_looks = 10;
    for (int looks = 0; looks < most_looks; ++looks) {
        pg_call([&] { LockRelationOid(statements_.leaf(), lock); });
        if (lock != AccessShareLock)
            lock_dependents();
        if (!context_.watch.changed())
            return;
        try {
            check_definition();
        } catch (...) {
            context_.watch.suspect(); // not over: a lock timeout, say
            throw;
        }
    }
    context_.watch.suspect();
    pg::raise({.sqlstate = ERRCODE_T_R_SERIALIZATION_FAILURE, .message = "definitions change all the time"});
}

// A family is gathered by the names of its tables: a table that gets another's name meanwhile is not of it.
void BatchRunner::lock_dependents() const
{
    if (context_.hook != nullptr)
        context_.hook->lock();
    if (!uses_families())
        return;
    for (const FamilyLink& link : context_.links.all()) {
        pg_call([table = link.to] { LockRelationOid(table, AccessShareLock); });
        if (OidIsValid(link.users))
            pg_call([table = link.users] { LockRelationOid(table, AccessShareLock); });
    }
}

void BatchRunner::check_definition()
{
    // The transaction's own snapshot may be older than what we waited for when we took the lock.
    const pg::LatestSnapshot snapshot;
    const PolicyState state = policy_state(context_.policy, true);
    if (state.condition != PolicyCondition::ready)
        throw RunStopped{"failed", concat("the policy is ", state_name(state.condition), ": ", state.reason)};
    if (fingerprint(context_.policy) != context_.fingerprint)
        throw RunStopped{"failed", "the policy is broken: what it refers to was changed during the run"};
    check_owner(context_.session, context_.policy);
    if (!is_leaf_of(statements_.leaf(), context_.policy.target))
        throw LeafGone{};
    verify_meaning(context_.policy, statements_.leaf());
    context_.links = FamilyLinks(context_.policy, context_.session.owner);
    rule_ = reference_rule(context_.policy, context_.links);
    statements_.renew(rule_);
    family_statements_.renew();
    if (context_.hook != nullptr)
        context_.hook->renew();
    look_at_dependents();
}

std::vector<DependentChange> BatchRunner::dependent_counts() const
{
    std::vector<DependentChange> counts;
    for (const Oid table : dependents_)
        counts.push_back({table, count_of(pg_stat_get_xact_tuples_deleted, table),
                          count_of(pg_stat_get_xact_tuples_updated, table)});
    return counts;
}

std::int64_t BatchRunner::take(const WorkUnit& unit)
{
    pg::Spi spi;
    if (!statements_.updates())
        return statements_.remove(spi, unit);
    updated_ = statements_.update(spi, unit);
    return static_cast<std::int64_t>(updated_.size());
}

std::int64_t BatchRunner::take_rows(const WorkUnit& unit, BatchMode mode, BatchResult& result)
{
    if (mode == BatchMode::optimistic)
        return take(unit);
    RowIds locked;
    {
        pg::Spi spi;
        locked = statements_.lock(spi, unit);
    }
    if (locked.empty())
        return 0;
    const std::int64_t removed = take(locked);
    result.vetoed = static_cast<std::int64_t>(locked.size()) - removed;
    return removed;
}

BatchRunner::TargetRows BatchRunner::remove(const WorkUnit& unit, Attempt& attempt, OwnerTransaction& transaction,
                                            BatchResult& result)
{
    if (uses_families())
        return remove_families(unit, attempt, transaction, result);
    const std::int64_t removed = take_rows(unit, attempt.mode, result);
    transaction.set_constraints_immediate();
    if (statements_.updates()) {
        pg::Spi spi;
        statements_.check_converged(spi, std::exchange(updated_, {}));
    }
    return {{statements_.leaf(), removed}};
}

BatchRunner::TargetRows BatchRunner::remove_families(const WorkUnit& unit, Attempt& attempt,
                                                     OwnerTransaction& transaction, BatchResult& result)
{
    FamilyRemoval removal(family_statements_, context_.hook, attempt.refused);
    FamilyCounts counts;
    {
        pg::Spi spi;
        const RowIds roots = statements_.lock(spi, unit);
        if (roots.empty())
            return {{statements_.leaf(), 0}};
        if (std::optional<FamilyCounts> part = remove_part(spi, removal, roots, attempt)) {
            counts = *part;
            result.is_part = part->deleted > 0;
        } else {
            counts = remove_roots(spi, removal, roots, attempt);
        }
    }
    transaction.set_constraints_immediate();
    removal.verify();
    result.vetoed = counts.refused;
    context_.notes.largest = std::max(context_.notes.largest, counts.largest);
    return counts.roots;
}

FamilyCounts BatchRunner::remove_roots(pg::Spi& spi, FamilyRemoval& removal, const RowIds& roots, Attempt& attempt)
{
    if (const std::optional<FamilyCounts> large = remove_large(spi, removal, roots, attempt))
        return *large;
    std::size_t most = attempt.patience == Patience::limited ? most_rows_of_batch : SIZE_MAX / 8;
    if (context_.policy.split_families)
        most = std::min(most, static_cast<std::size_t>(max_family_rows()));
    return removal.remove(spi, removal.gatherer().gather(spi, statements_.leaf(), roots, most), attempt.way);
}

// A gathered family costs memory by the row; to the constraints it is one row after the other.
std::optional<FamilyCounts> BatchRunner::remove_large(pg::Spi& spi, FamilyRemoval& removal, const RowIds& roots,
                                                      Attempt& attempt)
{
    if (!constraints_know_families_ || attempt.gathers_everything || roots.size() != 1 ||
        attempt.way != RemovalWay::one_statement)
        return std::nullopt;
    try {
        return removal.remove(
            spi, removal.gatherer().gather_bounded(spi, statements_.leaf(), roots, most_rows_of_batch), attempt.way);
    } catch (const FamilyTooLarge&) {
        attempt.way = RemovalWay::root_alone;
    }
    FamilyCounts counts;
    counts.deleted = statements_.remove(spi, roots);
    counts.roots[statements_.leaf()] = counts.deleted;
    counts.refused = 1 - counts.deleted;
    return counts;
}

std::optional<FamilyCounts> BatchRunner::remove_part(pg::Spi& spi, FamilyRemoval& removal, const RowIds& roots,
                                                     const Attempt& attempt)
{
    if (!context_.policy.split_families || roots.size() != 1 || attempt.way != RemovalWay::one_statement)
        return std::nullopt;
    const Oid leaf = statements_.leaf();
    const core::RowPlace root = place_of(leaf, roots.front());
    const bool is_split = split_root_ == root;
    const auto most = static_cast<std::size_t>(max_family_rows());
    const std::size_t most_of_part = std::min(most, most_rows_of_part);
    const FamilyGatherer gatherer = removal.gatherer();
    try {
        gatherer.gather_bounded(spi, leaf, roots, is_split ? most_of_part : most);
        return std::nullopt;
    } catch (const FamilyTooLarge&) {
        context_.notes.largest = std::max(context_.notes.largest, most + 1);
    }
    // Once torn, a family cannot be put together again: what keeps it is asked before the first part goes.
    if (!is_split && !is_unblocked(spi, context_.links, leaf, context_.session.owner, roots.front()))
        return FamilyCounts();
    split_root_ = root;
    const std::optional<Family> part =
        part_of_family(spi, family_statements_, gatherer, leaf, roots.front(), most_of_part);
    if (!part)
        return std::nullopt;
    return removal.remove(spi, *part, attempt.way);
}

bool BatchRunner::cancel_was_requested() const
{
    return pg_atomic_read_u32(const_cast<pg_atomic_uint32*>(&context_.channel.cancel_requested)) != 0;
}

BatchRunner::TargetRows BatchRunner::remove_within_limit(const WorkUnit& unit, Attempt& attempt,
                                                         OwnerTransaction& transaction, BatchResult& result)
{
    std::optional<pg::StatementLimit> limit;
    // Whoever fixes the size of batches wants them whole.
    if (attempt.patience == Patience::limited && !context_.policy.batch_size)
        limit.emplace(longest_batch(context_.request));
    try {
        return remove(unit, attempt, transaction, result);
    } catch (const pg::PgError& error) {
        if (error.is_cancel() && limit && limit->passed() && !cancel_was_requested())
            throw BatchTooLong();
        throw;
    } catch (const FamilyTooLarge&) {
        throw BatchTooLong();
    }
}

BatchResult BatchRunner::carry_out(const WorkUnit& unit, Attempt& attempt, std::int64_t done_units)
{
    BatchResult result;
    OwnerTransaction transaction(context_.session, context_.lock_timeout);
    context_.record.check_control();
    enter(transaction, RowExclusiveLock);

    const std::vector<DependentChange> before = dependent_counts();
    const std::int64_t changed_before = count_of(pg_stat_get_xact_tuples_updated, statements_.leaf());
    const TargetRows rows = remove_within_limit(unit, attempt, transaction, result);
    for (const auto& [leaf, count] : rows)
        result.rows += count;

    BatchCounters counters;
    counters.rows = result.rows;
    counters.redone = attempt.mode == BatchMode::lock_first && !statements_.must_lock_first() && !uses_families();
    counters.done_units = done_units;
    const std::vector<DependentChange> after = dependent_counts();
    for (std::size_t i = 0; i < after.size(); ++i) {
        DependentChange change{after[i].table, after[i].deleted - before[i].deleted,
                               after[i].changed - before[i].changed};
        // Of the target's own tables: what went along, beyond the rows that are due themselves.
        if (const auto found = rows.find(change.table); found != rows.end())
            change.deleted -= found->second;
        if (change.deleted != 0 || change.changed != 0)
            counters.dependents.push_back(change);
    }
    result.has_moved =
        !statements_.updates() && count_of(pg_stat_get_xact_tuples_updated, statements_.leaf()) != changed_before;
    note_family_size(counters, attempt.way);
    if (rows_can_stay_ || attempt.mode == BatchMode::lock_first) {
        pg::Spi spi;
        result.left = statements_.count_left(spi, unit);
    }
    context_.watch.check_schemas();
    context_.record.add_batch(counters, context_.row_width);
    transaction.commit();
    return result;
}

// Where constraints take the dependent rows along, nobody has looked at single families: one is at least the average.
void BatchRunner::note_family_size(const BatchCounters& counters, RemovalWay way) const
{
    std::int64_t deleted = counters.rows;
    for (const DependentChange& change : counters.dependents)
        deleted += change.deleted;
    const bool was_gathered = uses_families() && way != RemovalWay::root_alone;
    if (was_gathered || counters.rows == 0 || deleted / counters.rows <= max_family_rows())
        return;
    context_.notes.largest = std::max(context_.notes.largest, static_cast<std::size_t>(deleted / counters.rows));
}

bool BatchRunner::take_another_way(const pg::PgError& error, Attempt& attempt) const
{
    if (attempt.way == RemovalWay::root_alone && classify(error) == BatchFailure::row) {
        attempt.way = RemovalWay::one_statement;
        attempt.gathers_everything = true;
        return true;
    }
    if (error.sqlstate() != ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION || attempt.way == RemovalWay::roots_only ||
        !may_leave_it_to_constraints())
        return false;
    attempt.way = RemovalWay::roots_only;
    return true;
}

// Rows that a trigger keeps are found by trying: each attempt knows those that the ones before it have met.
BatchResult BatchRunner::attempt_families(const WorkUnit& unit, Attempt& attempt, std::int64_t done_units)
{
    for (;; ++attempt.times) {
        try {
            return carry_out(unit, attempt, done_units);
        } catch (const FamilyRefused&) {
            context_.record.rolled_back();
            if (attempt.times >= most_attempts)
                pg::raise({.sqlstate = ERRCODE_RAISE_EXCEPTION, .message = "triggers keep more and more of its rows"});
        } catch (const pg::PgError& error) {
            context_.record.rolled_back();
            if (!take_another_way(error, attempt))
                throw;
        }
        pg::check_for_interrupts();
    }
}

BatchResult BatchRunner::attempt(const WorkUnit& unit, BatchMode mode, Patience patience, std::int64_t done_units)
{
    Attempt attempt{.mode = mode, .patience = patience, .way = first_way_};
    BatchResult result;
    try {
        result = attempt_families(unit, attempt, done_units);
    } catch (...) {
        context_.record.rolled_back();
        throw;
    }
    context_.record.committed();
    return result;
}

} // namespace pgcleanup
