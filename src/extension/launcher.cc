// The launcher: knows which databases have schedules and when they are due, and starts their runs. It is connected to
// no database, so it is in nobody's way, and evaluates nobody's SQL.
#include "core/backoff.h"
#include "extension/launcher_databases.h"
#include "extension/launcher_memory.h"
#include "extension/schedule.h"
#include "extension/settings.h"
#include "extension/worker_launch.h"
#include "pg/memory.h"
#include "pg/transaction.h"

#include <limits>
#include <list>
#include <map>

extern "C" {
PGDLLEXPORT void pg_cleanup_launcher(Datum unused);
}

namespace pgcleanup {

namespace {

using pg::pg_call;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// How often the list of databases is read, and so how late a jump of the clock is noticed at most.
constexpr seconds list_interval{60};
// How often each database is looked at although nobody told of a change.
constexpr std::chrono::hours probe_interval{1};
constexpr seconds first_pause{5};
constexpr minutes longest_pause{30};
constexpr seconds pause_without_slot{10};
constexpr seconds clock_tolerance{5};
// A probe that cannot connect (its database is being renamed, moved or copied) keeps the others waiting.
constexpr seconds longest_probe{20};
constexpr int for_ever = std::numeric_limits<int>::max();

struct KnownDatabase {
    std::string name;
    microseconds probe_at{0}; // on the steady clock
    std::vector<DueTime> due;
    core::Backoff probe_backoff{first_pause, longest_pause, for_ever};
    core::Backoff run_backoff{first_pause, longest_pause, for_ever};
};

struct StartedRun {
    StartedRun(Worker started, RunningSchedule what) : worker(std::move(started)), schedule(what) {}
    Worker worker;
    RunningSchedule schedule;
};

struct StartedProbe {
    BackgroundWorkerHandle* handle;
    Oid database;
    microseconds ends_at; // on the steady clock
};

class Launcher {
public:
    Launcher() = default;
    ~Launcher();
    Launcher(const Launcher&) = delete;
    Launcher& operator=(const Launcher&) = delete;
    void work();

private:
    void reload();
    void begin_watching();
    void take_told_changes();
    void notice_clock_jump();
    void read_databases();
    void probe_all();
    void follow_probe();
    void start_probe();
    void end_probe();
    void end_runs();
    void end_run(const StartedRun& run);
    void start_due_runs();
    bool start_run(Oid database, std::int64_t schedule_id);
    void look_again(Oid database);
    static void pause(KnownDatabase& database, core::Backoff& backoff);
    bool is_running(Oid database, std::int64_t schedule_id) const;
    milliseconds time_to_sleep() const;

    std::map<Oid, KnownDatabase> databases_;
    std::vector<RunningSchedule> running_; // as the workers say, and those that were just started
    std::list<StartedRun> started_;
    std::optional<StartedProbe> probe_;
    microseconds read_databases_at_{0};
    microseconds start_nothing_before_{0};
    std::optional<microseconds> clock_difference_; // of the clock of schedules from the steady one
    bool watching_ = false;
};

// Runs go on without the launcher.
Launcher::~Launcher()
{
    for (StartedRun& run : started_)
        run.worker.release();
}

void Launcher::reload()
{
    if (ConfigReloadPending == 0)
        return;
    ConfigReloadPending = 0;
    pg_call([] { ProcessConfigFile(PGC_SIGHUP); });
    read_databases_at_ = microseconds{0};
    probe_all();
}

// Times that passed while pg_cleanup.enabled was off were watched by nobody.
void Launcher::begin_watching()
{
    if (watching_ == schedules_enabled())
        return;
    watching_ = schedules_enabled();
    if (!watching_)
        set_watched_since(0);
    else if (watched_since() == 0)
        set_watched_since(to_timestamp(schedule_now()));
}

void Launcher::probe_all()
{
    for (auto& [oid, database] : databases_)
        database.probe_at = microseconds{0};
}

void Launcher::take_told_changes()
{
    const ChangedDatabases changes = take_changes();
    if (changes.all)
        probe_all();
    for (const Oid oid : changes.databases) {
        if (!databases_.contains(oid))
            read_databases_at_ = microseconds{0};
        else
            databases_.at(oid).probe_at = microseconds{0};
    }
}

void Launcher::notice_clock_jump()
{
    const microseconds difference = schedule_now().time_since_epoch() - pg::elapsed_clock();
    if (clock_difference_ && std::chrono::abs(difference - *clock_difference_) < clock_tolerance)
        return;
    clock_difference_ = difference;
    // Set back, the clock would show for long that nobody watched.
    if (const TimestampTz now = to_timestamp(schedule_now()); watched_since() > now)
        set_watched_since(now);
    probe_all();
}

void Launcher::read_databases()
{
    if (pg::elapsed_clock() < read_databases_at_)
        return;
    read_databases_at_ = pg::elapsed_clock() + list_interval;
    std::map<Oid, KnownDatabase> found;
    for (const ConnectableDatabase& database : connectable_databases()) {
        if (auto known = databases_.extract(database.oid))
            found.insert(std::move(known));
        found[database.oid].name = database.name;
    }
    databases_ = std::move(found);
}

void Launcher::look_again(Oid database)
{
    if (const auto known = databases_.find(database); known != databases_.end())
        known->second.probe_at = microseconds{0};
}

void Launcher::pause(KnownDatabase& database, core::Backoff& backoff)
{
    database.due.clear();
    database.probe_at = pg::elapsed_clock() + backoff.next().value_or(longest_pause);
}

void Launcher::start_probe()
{
    const microseconds now = pg::elapsed_clock();
    const auto next = std::ranges::find_if(databases_, [=](const auto& one) { return one.second.probe_at <= now; });
    if (next == databases_.end() || now < start_nothing_before_)
        return;
    BackgroundWorkerHandle* handle = start_probe_worker(next->first);
    if (handle == nullptr) {
        start_nothing_before_ = now + pause_without_slot;
        return;
    }
    next->second.probe_at = now + probe_interval;
    probe_ = {handle, next->first, now + longest_probe};
}

void Launcher::follow_probe()
{
    if (probe_ && !is_worker_running(probe_->handle)) {
        const Oid oid = probe_->database;
        pfree(std::exchange(probe_, std::nullopt)->handle);
        std::optional<ProbeResult> result = take_probe(oid);
        const auto known = databases_.find(oid);
        if (known == databases_.end()) {
            // dropped meanwhile
        } else if (result) {
            known->second.due = std::move(result->due);
            known->second.probe_backoff.reset();
        } else {
            count_crash();
            pause(known->second, known->second.probe_backoff);
            read_databases_at_ = microseconds{0};
        }
    }
    if (!probe_)
        start_probe();
    else if (pg::elapsed_clock() >= probe_->ends_at)
        end_probe();
}

void Launcher::end_probe()
{
    terminate_worker(probe_->handle);
    probe_->ends_at = pg::elapsed_clock() + longest_probe;
}

void Launcher::end_run(const StartedRun& run)
{
    const auto known = databases_.find(run.schedule.database);
    if (known == databases_.end())
        return;
    ChannelState& state = run.worker.channel().state();
    if (pg_atomic_read_u32(&state.alive) != 0) {
        known->second.run_backoff.reset();
        known->second.probe_at = microseconds{0};
        return;
    }
    // Declined: something has changed, or its last process is not quite gone yet.
    if (pg_atomic_read_u32(&state.declined) == 0)
        count_crash();
    pause(known->second, known->second.run_backoff);
}

void Launcher::end_runs()
{
    std::vector<RunningSchedule> ended = std::exchange(running_, running_schedules());
    std::erase_if(started_, [&](const StartedRun& run) {
        if (run.worker.is_running())
            return false;
        end_run(run);
        std::erase(ended, run.schedule);
        return true;
    });
    for (const StartedRun& run : started_) {
        if (!is_running(run.schedule.database, run.schedule.schedule_id))
            running_.push_back(run.schedule);
    }
    // Those of an earlier launcher, too, may have been due again meanwhile.
    for (const RunningSchedule& one : ended) {
        if (!is_running(one.database, one.schedule_id))
            look_again(one.database);
    }
}

bool Launcher::is_running(Oid database, std::int64_t schedule_id) const
{
    return std::ranges::find(running_, RunningSchedule{database, schedule_id}) != running_.end();
}

bool Launcher::start_run(Oid database, std::int64_t schedule_id)
{
    TaskRequest request;
    request.kind = TaskKind::run;
    request.database = database;
    request.owner = BOOTSTRAP_SUPERUSERID;
    request.trigger = RunTrigger::schedule;
    request.schedule_id = schedule_id;
    request.wait = false;
    request.batch_target_ms = static_cast<std::int32_t>(batch_target().count());
    request.lock_timeout_ms = static_cast<std::int32_t>(lock_timeout().count());
    try {
        started_.emplace_back(Worker::start(WorkerKind::run, request, "pg_cleanup scheduled run"),
                              RunningSchedule{database, schedule_id});
    } catch (const pg::PgError& error) {
        pg::log_error(LOG, "pg_cleanup: a scheduled run has to wait: ", error);
        start_nothing_before_ = pg::elapsed_clock() + pause_without_slot;
        return false;
    }
    running_.push_back({database, schedule_id});
    return true;
}

void Launcher::start_due_runs()
{
    const TimestampTz now = to_timestamp(schedule_now());
    for (auto& [oid, database] : databases_) {
        if (database.probe_at <= pg::elapsed_clock())
            continue; // what is known of it is out of date
        for (auto due = database.due.begin(); due != database.due.end() && due->starts_at <= now;) {
            if (pg::elapsed_clock() < start_nothing_before_ ||
                running_.size() >= static_cast<std::size_t>(max_scheduled_runs()))
                return;
            if (!is_running(oid, due->schedule_id) && !start_run(oid, due->schedule_id))
                return;
            due = database.due.erase(due);
        }
    }
}

milliseconds Launcher::time_to_sleep() const
{
    const microseconds now = pg::elapsed_clock();
    const TimestampTz schedule_clock = to_timestamp(schedule_now());
    microseconds until = read_databases_at_ - now;
    const bool has_room = running_.size() < static_cast<std::size_t>(max_scheduled_runs());
    for (const auto& [oid, database] : databases_) {
        until = std::min(until, (probe_ ? probe_->ends_at : database.probe_at) - now);
        if (has_room && database.probe_at > now && !database.due.empty())
            until = std::min(until, microseconds{database.due.front().starts_at - schedule_clock});
    }
    until = std::max(until, start_nothing_before_ - now);
    return std::chrono::ceil<milliseconds>(std::clamp(until, microseconds{0}, microseconds{list_interval}));
}

void Launcher::work()
{
    while (ShutdownRequestPending == 0) {
        reload();
        begin_watching();
        milliseconds sleep = list_interval;
        if (watching_) {
            take_told_changes();
            notice_clock_jump();
            read_databases();
            end_runs();
            follow_probe();
            start_due_runs();
            sleep = time_to_sleep();
        }
        if (ShutdownRequestPending == 0 && ConfigReloadPending == 0)
            pg::wait_for_latch(sleep);
    }
}

void launch()
{
    pg_call([] {
        pqsignal(SIGHUP, SignalHandlerForConfigReload);
        pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
        BackgroundWorkerUnblockSignals();
        // Shared catalogs only.
        BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    });
    become_launcher();
    Launcher().work();
}

} // namespace

} // namespace pgcleanup

void pg_cleanup_launcher(Datum /*unused*/)
{
    pgcleanup::pg::pg_entry([] { pgcleanup::launch(); });
    // With any other status postmaster would never start it again.
    proc_exit(1);
}
