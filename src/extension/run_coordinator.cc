#include "extension/run_coordinator.h"

#include "core/backoff.h"
#include "extension/coordinator_record.h"
#include "extension/grants.h"
#include "extension/history.h"
#include "extension/launcher_memory.h"
#include "extension/liveness.h"
#include "extension/rights.h"
#include "extension/run_record.h"
#include "extension/run_row.h"
#include "extension/schedule_state.h"
#include "extension/settings.h"
#include "pg/text.h"

namespace pgcleanup {

using pg::AsExtensionOwner;
using pg::concat;
using pg::Parameters;
using pg::pg_call;
using pg::Spi;
using pg::WorkerTransaction;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds poll_interval{500};
constexpr milliseconds slot_pause{100};
constexpr milliseconds longest_slot_pause{1000};
constexpr int slot_attempts = 8;

constexpr const char* other_run_sql = R"(
SELECT r.run_id FROM pg_locks AS l JOIN @extschema@.cleanup_runs AS r ON r.worker_pid = l.pid AND r.status = 'running'
WHERE l.locktype = 'object' AND l.granted AND l.classid = $1 AND l.objid = $2 AND l.objsubid = $3 LIMIT 1)";

constexpr const char* archiving_policies_sql = R"(
SELECT DISTINCT policy_id FROM @extschema@.cleanup_run_targets WHERE run_id = $1 AND kind = 'target' AND action = 'archive')";

// InvalidOid when the table is not there.
Oid owner_of(Oid table)
{
    return pg_call([&] {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
        if (!HeapTupleIsValid(tuple))
            return InvalidOid;
        const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

// A cancel reaches this process as a flag; its own short statements are not what should be cancelled.
class HoldCancel {
public:
    HoldCancel() noexcept { HOLD_CANCEL_INTERRUPTS(); }
    ~HoldCancel()
    {
        // An error has reset the counter already (elog.c, errfinish).
        if (QueryCancelHoldoffCount > 0)
            RESUME_CANCEL_INTERRUPTS();
    }
    HoldCancel(const HoldCancel&) = delete;
    HoldCancel& operator=(const HoldCancel&) = delete;
};

// One transaction of bookkeeping.
template <class Work>
auto in_bookkeeping(const pg::Extension& extension, Work&& work)
{
    const HoldCancel hold;
    WorkerTransaction transaction;
    if constexpr (std::is_void_v<decltype(work(std::declval<Spi&>()))>) {
        {
            const AsExtensionOwner owner(extension);
            Spi spi;
            work(spi);
        }
        transaction.commit();
    } else {
        auto result = [&] {
            const AsExtensionOwner owner(extension);
            Spi spi;
            return work(spi);
        }();
        transaction.commit();
        return result;
    }
}

} // namespace

RunCoordinator::RunCoordinator(const TaskChannel& channel) : channel_(channel), request_(channel.state().request)
{
    WorkerTransaction transaction;
    pg::Extension found = pg::extension();
    std::tie(extension_, anchor_) = std::make_tuple(found, pg::lock_anchor(found.schema));
    transaction.commit();
}

void RunCoordinator::execute()
{
    const HoldCancel hold;
    if (!begin())
        return;
    std::optional<std::string> message;
    try {
        in_bookkeeping(extension_, [this](Spi& spi) {
            mark_dead_runs(spi, extension_);
            refresh_grant_names(spi, extension_);
        });
        for (const Policy& policy : policies_to_run()) {
            look_for_ending();
            if (ending_ == Ending::window_closed)
                refuse(policy, "skipped", window_closed_message);
            else if (ending_ == Ending::none)
                run_one(policy);
        }
    } catch (const pg::PgError& error) {
        pg::log_error(LOG, concat("pg_cleanup run ", run_id_, ": "), error);
        message = error.fields().message;
        channel_.send(MessageKind::error, error_cells(error));
        // The abort released the session locks; without them others may take this run for dead, which it now is.
        ending_ = ending_ == Ending::none ? Ending::interrupted : ending_;
    }
    finish(message);
}

bool RunCoordinator::begin()
{
    run_id_ = request_.run_id;
    if (request_.trigger == RunTrigger::schedule) {
        if (!begin_scheduled())
            return false;
    } else if (request_.wait) {
        in_bookkeeping(extension_, [this](Spi& spi) { begin_row(spi); });
    } else if (!wait_for_caller()) {
        return false;
    }
    record_.emplace(extension_, request_, run_id_);
    pg_atomic_write_u64(&channel_.state().run_id, static_cast<std::uint64_t>(run_id_));
    pg_atomic_write_u32(&channel_.state().alive, 1);
    const std::string activity = concat("pg_cleanup run ", run_id_);
    pg_call([&] { pgstat_report_activity(STATE_RUNNING, activity.c_str()); });
    return true;
}

void RunCoordinator::begin_row(Spi& spi)
{
    run_id_ = insert_run(spi, extension_, request_, MyProcPid);
    // Before the row can be seen, so that nobody finds it running and dead. Waits at most for someone who looks.
    pg::LockTag(anchor_, pg::LockKind::run_alive, static_cast<uint32>(run_id_)).lock(ShareLock, true);
}

// False when there is nothing to do: the launcher's knowledge is a little older than ours.
bool RunCoordinator::begin_scheduled()
{
    const bool taken = occupy_run_slot(request_.database, request_.schedule_id, max_scheduled_runs()) &&
                       in_bookkeeping(extension_, [this](Spi& spi) { return take_schedule(spi); });
    if (!taken)
        pg_atomic_write_u32(&channel_.state().declined, 1);
    return taken;
}

bool RunCoordinator::take_schedule(Spi& spi)
{
    // Not waited for: who changes it and does not commit would keep one of the few places of scheduled runs.
    schedule_ = lock_free_schedule(spi, extension_, request_.schedule_id);
    if (!schedules_enabled() || !schedule_ || !schedule_->enabled || schedule_->kind == ScheduleKind::cron)
        return false;
    const core::Instant now = schedule_now();
    const ScheduleTimes times(*schedule_);
    const core::ScheduleDecision decision = times.decide({now, to_instant(watched_since()), catch_up()});
    if (decision.starts_at > now)
        return false;
    const std::optional<core::Instant> closes_at = times.closes_at(now);
    if (closes_at)
        request_.window_closes.set(to_timestamp(*closes_at));
    request_.policy_id = schedule_->policy_id;
    request_.start = pg::now();
    request_.requested_by = OidIsValid(schedule_->target) ? owner_of(schedule_->target) : extension_.owner;
    begin_row(spi);
    begin_run(spi, extension_, *schedule_, decision, run_id_);
    schedule_->state = core::ScheduleState{decision.due.value_or(decision.handled_until)};
    return true;
}

void RunCoordinator::end_scheduled(Spi& spi) const
{
    if (request_.trigger == RunTrigger::schedule)
        end_run(spi, extension_, *schedule_, ending_ == Ending::window_closed);
}

bool RunCoordinator::wait_for_caller()
{
    // The caller has inserted the run's row in his transaction, which must end before it can be seen.
    pg::LockTag(anchor_, pg::LockKind::run_alive, static_cast<uint32>(run_id_)).lock(ShareLock, true);
    pg_atomic_write_u32(&channel_.state().alive, 1);
    {
        const HoldCancel hold; // a cancel that comes as early as this is answered before the first policy
        WorkerTransaction transaction;
        pg_call([this] { XactLockTableWait(request_.caller_xid, nullptr, nullptr, XLTW_None); });
        transaction.commit();
    }
    return in_bookkeeping(extension_, [this](Spi& spi) {
        return CoordinatorRecord(extension_, request_, run_id_).adopt(spi, MyProcPid);
    });
}

// What references goes first when it is deleted, and last when it comes back.
std::vector<Policy> RunCoordinator::policies_to_restore()
{
    return in_bookkeeping(extension_, [this](Spi& spi) {
        std::vector<std::int64_t> archived;
        for (const auto& row : spi.run(pg::in_extension_schema(archiving_policies_sql, extension_),
                                       Parameters().int8(request_.restored_run)))
            archived.push_back(pg::to_int64(row[0]));
        const Rights rights(spi, extension_, request_.requested_by);
        std::vector<Policy> chosen = all_policies(spi, extension_);
        std::erase_if(chosen, [&](const Policy& policy) {
            const bool is_wanted = request_.policy_id == 0 ? std::ranges::find(archived, policy.id) != archived.end()
                                                           : policy.id == request_.policy_id;
            return !is_wanted || !rights.may(Right::administer, policy);
        });
        std::ranges::reverse(chosen);
        return chosen;
    });
}

std::vector<Policy> RunCoordinator::policies_to_run()
{
    if (is_restore())
        return policies_to_restore();
    return in_bookkeeping(extension_, [this](Spi& spi) {
        const Rights rights(spi, extension_, request_.requested_by);
        const Right right = request_.force ? Right::administer : Right::run;
        std::vector<Policy> chosen;
        for (Policy& policy : all_policies(spi, extension_)) {
            const bool is_wanted = request_.policy_id == 0 ? policy.enabled : policy.id == request_.policy_id;
            if (is_wanted && rights.may(right, policy))
                chosen.push_back(std::move(policy));
        }
        return chosen;
    });
}

void RunCoordinator::run_one(const Policy& policy)
{
    if (!OidIsValid(policy.target)) {
        refuse(policy, "failed", concat("the policy is unbound: table ", policy.target_name, " is not there"));
        send_result(policy);
        return;
    }
    RelationLocks locks(anchor_);
    const std::optional<std::int64_t> busy = in_bookkeeping(extension_, [&](Spi& spi) -> std::optional<std::int64_t> {
        const std::optional<Oid> held = locks.take(touched_relations(spi, extension_, policy));
        if (!held)
            return std::nullopt;
        const pg::Rows rows =
            spi.run(pg::in_extension_schema(other_run_sql, extension_),
                    Parameters().oid(anchor_).oid(*held).int4(static_cast<std::int32_t>(pg::LockKind::relation_run)));
        return rows.empty() ? 0 : pg::to_int64(rows[0][0]);
    });
    if (busy)
        refuse(policy, "skipped", concat("run ", *busy, " is working on one of its tables"));
    else
        run_in_worker(policy);
    send_result(policy);
}

void RunCoordinator::run_in_worker(const Policy& policy)
{
    Worker worker = start_worker(policy);
    wait_for_worker(worker);
    std::string message = "the worker ended before its work was done; the server's log says why";
    if (terminated_)
        message = "the worker did not answer the cancel and was terminated";
    if (worker_error_)
        message = worker_error_->fields().message;
    close_unfinished(policy, message);
    worker_error_.reset();
}

Worker RunCoordinator::start_worker(const Policy& policy)
{
    TaskRequest task = request_;
    task.kind = is_restore() ? TaskKind::restore_policy : TaskKind::run_policy;
    task.run_id = run_id_;
    task.policy_id = policy.id;
    {
        WorkerTransaction transaction;
        task.owner = owner_of(policy.target);
        task.connection = connection_for(task.owner);
        transaction.commit();
    }
    core::Backoff backoff(slot_pause, longest_slot_pause, slot_attempts);
    for (;;) {
        try {
            return Worker::start(WorkerKind::owner, task, concat("pg_cleanup run ", run_id_));
        } catch (const pg::PgError& error) {
            const std::optional<milliseconds> pause = backoff.next();
            if (error.sqlstate() != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED || !pause)
                throw;
            const HoldCancel hold;
            pg::wait_for_latch(*pause);
        }
    }
}

void RunCoordinator::wait_for_worker(Worker& worker)
{
    for (;;) {
        bool closed = false;
        bool done = false;
        while (const std::optional<Message> message = worker.channel().receive(closed)) {
            if (message->kind == MessageKind::error)
                worker_error_ = error_of_cells(message->cells);
            if (message->kind == MessageKind::row) {
                channel_.send(MessageKind::row, message->cells);
                has_answered_ = true;
            }
            // Its last word: everything is committed, and its exit is not worth waiting for.
            done = done || message->kind == MessageKind::done;
        }
        if (done || !worker.is_running())
            break;
        look_for_ending();
        pass_ending_on(worker);
        const HoldCancel hold;
        pg::wait_for_latch(poll_interval);
    }
    worker.release();
}

void RunCoordinator::look_for_ending()
{
    if (ShutdownRequestPending != 0) {
        ending_ = Ending::interrupted;
    } else if (ending_ == Ending::none || ending_ == Ending::window_closed) {
        const bool caller_wants = pg_atomic_read_u32(&channel_.state().cancel_requested) != 0;
        const bool caller_left = request_.wait && pg_atomic_read_u32(&channel_.state().asker_gone) != 0;
        if (caller_wants || caller_left || QueryCancelPending != 0)
            ending_ = Ending::cancelled;
    }
    if (ending_ == Ending::none)
        look_at_schedule();
    QueryCancelPending = 0;
}

void RunCoordinator::look_at_schedule()
{
    if (ConfigReloadPending != 0) {
        ConfigReloadPending = 0;
        pg_call([] { ProcessConfigFile(PGC_SIGHUP); });
    }
    if (request_.trigger == RunTrigger::manual)
        return;
    if (!schedules_enabled()) {
        ending_ = Ending::cancelled;
        cancelled_by_ = "pg_cleanup.enabled was turned off";
    } else if (request_.window_closes.is_set && schedule_now() >= to_instant(request_.window_closes.value)) {
        ending_ = Ending::window_closed;
    }
}

void RunCoordinator::pass_ending_on(Worker& worker)
{
    if (ending_ == Ending::none)
        return;
    if (ending_ == Ending::window_closed) {
        pg_atomic_write_u32(&worker.channel().state().window_closed, 1);
        return;
    }
    if (ending_ == Ending::interrupted) {
        worker.terminate();
        return;
    }
    if (!ending_passed_on_) {
        worker.cancel();
        ending_passed_on_ = true;
        terminate_at_ = pg::elapsed_clock() + cancel_grace();
    } else if (pg::elapsed_clock() >= terminate_at_) {
        // Owner code can swallow a cancel (EXCEPTION WHEN query_canceled), but not a termination.
        worker.terminate();
        terminated_ = true;
    }
}

void RunCoordinator::refuse(const Policy& policy, const std::string& status, const std::string& message)
{
    in_bookkeeping(extension_, [&](Spi& spi) { record_->refuse(spi, policy, status, message); });
}

void RunCoordinator::close_unfinished(const Policy& policy, const std::string& message)
{
    const std::string status = ending_ == Ending::cancelled ? "cancelled" : "interrupted";
    const bool had_begun =
        in_bookkeeping(extension_, [&](Spi& spi) { return record_->close(spi, policy, status, message); });
    if (!had_begun)
        refuse(policy, ending_ == Ending::none ? "failed" : status, message);
}

void RunCoordinator::send_result(const Policy& policy)
{
    // The worker of a restore says itself what it did, unless it did not come to that.
    if (!request_.wait || (is_restore() && std::exchange(has_answered_, false)))
        return;
    const auto results = in_bookkeeping(extension_, [&](Spi& spi) { return record_->results(spi, policy); });
    for (const std::vector<pg::Cell>& row : results)
        channel_.send(MessageKind::row, row);
}

void RunCoordinator::finish(const std::optional<std::string>& message)
{
    std::optional<std::string> status;
    std::optional<std::string> reason = message;
    if (ending_ == Ending::cancelled) {
        status = "cancelled";
        reason = reason.value_or(cancelled_by_);
    }
    if (ending_ == Ending::window_closed)
        reason = reason.value_or(window_closed_message);
    if (ending_ == Ending::interrupted)
        status = message ? "failed" : "interrupted";
    in_bookkeeping(extension_, [&](Spi& spi) {
        record_->finish(spi, status, reason);
        end_scheduled(spi);
    });
    if (ending_ == Ending::none)
        prune();
}

void RunCoordinator::prune() const
{
    const std::optional<std::chrono::minutes> retain = history_retain();
    if (!retain)
        return;
    const TimestampTz before = pg::now() - std::chrono::microseconds(*retain).count();
    while (in_bookkeeping(extension_, [&](Spi& spi) { return prune_history(spi, extension_, before); })) {
    }
}

} // namespace pgcleanup
