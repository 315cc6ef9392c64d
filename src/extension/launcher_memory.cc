#include "extension/launcher_memory.h"

#include "extension/settings.h"
#include "pg/transaction.h"

namespace pgcleanup {

using pg::pg_call;

namespace {

constexpr const char* memory_name = "pg_cleanup launcher";
constexpr std::size_t most_changes = 32;
constexpr std::size_t most_due_times = 256;

struct RunSlot {
    int pid; // 0: free
    Oid database;
    std::int64_t schedule_id;
};

struct LauncherMemory {
    int launcher_pid;
    Latch* launcher_latch;
    TimestampTz watched_since;
    std::int64_t looks;
    std::int64_t crashes;
    TimestampTz last_crash;
    bool all_changed;
    std::size_t changes;
    std::array<Oid, most_changes> changed;
    Oid probed; // InvalidOid: no result
    bool has_extension;
    std::size_t due_times;
    std::array<DueTime, most_due_times> due;
    std::array<RunSlot, most_scheduled_runs> runs;
};
static_assert(std::is_trivially_copyable_v<LauncherMemory>);

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): handles of shared memory, and hooks
LauncherMemory* memory = nullptr;
LWLock* memory_lock = nullptr;
shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;
bool wake_at_commit = false;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void pg_request_memory()
{
    if (previous_request_hook != nullptr)
        previous_request_hook();
    RequestAddinShmemSpace(MAXALIGN(sizeof(LauncherMemory)));
    RequestNamedLWLockTranche(memory_name, 1);
}

void pg_attach_memory()
{
    if (previous_startup_hook != nullptr)
        previous_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found = false;
    memory = static_cast<LauncherMemory*>(ShmemInitStruct(memory_name, sizeof(LauncherMemory), &found));
    if (!found)
        MemSet(memory, 0, sizeof(LauncherMemory));
    memory_lock = &GetNamedLWLockTranche(memory_name)->lock;
    LWLockRelease(AddinShmemInitLock);
}

// Short work on the memory, which must not raise.
template <class F>
auto with_memory(LWLockMode mode, F&& work)
{
    return pg_call([&] {
        LWLockAcquire(memory_lock, mode);
        if constexpr (std::is_void_v<decltype(work())>) {
            work();
            LWLockRelease(memory_lock);
        } else {
            auto result = work();
            LWLockRelease(memory_lock);
            return result;
        }
    });
}

// Needs the lock.
void pg_wake_launcher()
{
    if (memory->launcher_latch != nullptr)
        SetLatch(memory->launcher_latch);
}

void pg_forget_launcher(int /*code*/, Datum /*unused*/)
{
    LWLockAcquire(memory_lock, LW_EXCLUSIVE);
    if (memory->launcher_pid == MyProcPid) {
        memory->launcher_pid = 0;
        memory->launcher_latch = nullptr;
    }
    LWLockRelease(memory_lock);
}

void pg_leave_run_slot(int /*code*/, Datum /*unused*/)
{
    LWLockAcquire(memory_lock, LW_EXCLUSIVE);
    for (RunSlot& slot : memory->runs) {
        if (slot.pid == MyProcPid)
            slot.pid = 0;
    }
    pg_wake_launcher();
    LWLockRelease(memory_lock);
}

void pg_tell_change(Oid database)
{
    LWLockAcquire(memory_lock, LW_EXCLUSIVE);
    const Oid* const end = memory->changed.data() + memory->changes;
    if (std::find<const Oid*>(memory->changed.data(), end, database) == end) {
        if (memory->changes < most_changes)
            memory->changed[memory->changes++] = database;
        else
            memory->all_changed = true;
    }
    pg_wake_launcher();
    LWLockRelease(memory_lock);
}

void pg_at_end_of_transaction(XactEvent event, void* /*unused*/)
{
    switch (event) {
    case XACT_EVENT_COMMIT:
    // Who commits it later may have no library loaded; a look too early does no harm, and another comes by itself.
    case XACT_EVENT_PREPARE:
        if (wake_at_commit)
            pg_tell_change(MyDatabaseId);
        wake_at_commit = false;
        break;
    case XACT_EVENT_ABORT:
        wake_at_commit = false;
        break;
    default:
        break;
    }
}

BackgroundWorker launcher_description()
{
    BackgroundWorker worker;
    MemSet(&worker, 0, sizeof worker);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    // Nothing in recovery; a promotion starts it.
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = 5;
    strlcpy(worker.bgw_library_name, "pg_cleanup", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "pg_cleanup_launcher", BGW_MAXLEN);
    strlcpy(worker.bgw_name, "pg_cleanup launcher", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "pg_cleanup launcher", BGW_MAXLEN);
    return worker;
}

} // namespace

void prepare_launcher()
{
    previous_request_hook = std::exchange(shmem_request_hook, pg_request_memory);
    previous_startup_hook = std::exchange(shmem_startup_hook, pg_attach_memory);
    pg_call([] {
        RegisterXactCallback(pg_at_end_of_transaction, nullptr);
        BackgroundWorker launcher = launcher_description();
        RegisterBackgroundWorker(&launcher);
    });
}

bool has_launcher()
{
    return memory != nullptr;
}

void wake_launcher_at_commit()
{
    wake_at_commit = has_launcher();
}

void become_launcher()
{
    with_memory(LW_EXCLUSIVE, [] {
        memory->launcher_pid = MyProcPid;
        memory->launcher_latch = MyLatch;
    });
    pg_call([] { before_shmem_exit(pg_forget_launcher, 0); });
}

ChangedDatabases take_changes()
{
    struct Taken {
        bool all;
        std::size_t count;
        std::array<Oid, most_changes> databases;
    };
    const Taken taken = with_memory(LW_EXCLUSIVE, [] {
        Taken changes{std::exchange(memory->all_changed, false), std::exchange(memory->changes, 0), {}};
        std::copy_n(memory->changed.begin(), changes.count, changes.databases.begin());
        return changes;
    });
    return {taken.all, {taken.databases.data(), taken.databases.data() + taken.count}};
}

TimestampTz watched_since()
{
    return with_memory(LW_SHARED, [] { return memory->watched_since; });
}

void set_watched_since(TimestampTz time)
{
    with_memory(LW_EXCLUSIVE, [=] { memory->watched_since = time; });
}

void count_crash()
{
    const TimestampTz now = pg::now();
    with_memory(LW_EXCLUSIVE, [=] {
        ++memory->crashes;
        memory->last_crash = now;
    });
}

void publish_probe(Oid database, const ProbeResult& result)
{
    const std::size_t count = std::min(result.due.size(), most_due_times);
    const DueTime* const due = result.due.data();
    const bool has_extension = result.has_extension;
    with_memory(LW_EXCLUSIVE, [=] {
        memory->probed = database;
        memory->has_extension = has_extension;
        memory->due_times = count;
        std::copy_n(due, count, memory->due.begin());
    });
}

std::optional<ProbeResult> take_probe(Oid database)
{
    ProbeResult result;
    result.due.resize(most_due_times);
    DueTime* const due = result.due.data();
    struct Taken {
        bool found;
        bool has_extension;
        std::size_t count;
    };
    const Taken taken = with_memory(LW_EXCLUSIVE, [=] {
        const bool found = std::exchange(memory->probed, InvalidOid) == database;
        std::copy_n(memory->due.begin(), memory->due_times, due);
        memory->looks += found ? 1 : 0;
        return Taken{found, memory->has_extension, memory->due_times};
    });
    if (!taken.found)
        return std::nullopt;
    result.has_extension = taken.has_extension;
    result.due.resize(taken.count);
    return result;
}

bool occupy_run_slot(Oid database, std::int64_t schedule_id, int most)
{
    pg_call([] { before_shmem_exit(pg_leave_run_slot, 0); });
    return with_memory(LW_EXCLUSIVE, [=] {
        RunSlot* free = nullptr;
        int taken = 0;
        for (RunSlot& slot : memory->runs) {
            if (slot.pid == 0)
                free = &slot;
            else if (slot.database == database && slot.schedule_id == schedule_id)
                return false;
            else
                ++taken;
        }
        if (free == nullptr || taken >= most)
            return false;
        *free = {MyProcPid, database, schedule_id};
        return true;
    });
}

std::vector<RunningSchedule> running_schedules()
{
    struct Copy {
        std::array<RunSlot, most_scheduled_runs> slots;
    };
    const Copy copy = with_memory(LW_SHARED, [] {
        Copy now{};
        now.slots = memory->runs;
        return now;
    });
    std::vector<RunningSchedule> running;
    for (const RunSlot& slot : copy.slots) {
        if (slot.pid != 0)
            running.push_back({slot.database, slot.schedule_id});
    }
    return running;
}

LauncherStatus launcher_status()
{
    return with_memory(LW_SHARED, [] {
        return LauncherStatus{memory->launcher_pid, memory->looks, memory->crashes, memory->last_crash};
    });
}

} // namespace pgcleanup
