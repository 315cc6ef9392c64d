#include "extension/worker_launch.h"

#include "extension/owner_session.h"
#include "pg/memory.h"
#include "pg/transaction.h"
#include "pg/version.h"

#include <csignal>
#include <cstring>

namespace pgcleanup {

using pg::pg_call;

namespace {

constexpr std::chrono::milliseconds poll_interval{1000};

// The names that postmaster looks up in our library.
const char* entry_point(WorkerKind kind)
{
    return kind == WorkerKind::run ? "pg_cleanup_run_worker" : "pg_cleanup_owner_worker";
}

BackgroundWorker described(Datum argument, const char* function, const char* type, const std::string& label)
{
    BackgroundWorker worker;
    std::memset(&worker, 0, sizeof worker);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    // A dry run works on a standby too; a run checks for itself that it can write.
    worker.bgw_start_time = BgWorkerStart_ConsistentState;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = argument;
    worker.bgw_notify_pid = MyProcPid;
    strlcpy(worker.bgw_library_name, "pg_cleanup", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
    strlcpy(worker.bgw_name, label.c_str(), BGW_MAXLEN);
    strlcpy(worker.bgw_type, type, BGW_MAXLEN);
    return worker;
}

BackgroundWorker describe(WorkerKind kind, dsm_handle channel, const std::string& label)
{
    return described(UInt32GetDatum(channel), entry_point(kind),
                     kind == WorkerKind::run ? "pg_cleanup run" : "pg_cleanup worker", label);
}

// Null when no slot is free. The handle must outlive the statement's short memory contexts.
BackgroundWorkerHandle* register_worker(BackgroundWorker description)
{
    return pg_call([&]() -> BackgroundWorkerHandle* {
        BackgroundWorkerHandle* handle = nullptr;
        const MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
        const bool registered = RegisterDynamicBackgroundWorker(&description, &handle);
        MemoryContextSwitchTo(previous);
        return registered ? handle : nullptr;
    });
}

[[noreturn]] void raise_no_slot()
{
    pg::raise({.sqlstate = ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
               .message = "pg_cleanup could not start a background worker: no free worker slot",
               .detail = pg::concat("max_worker_processes is ", max_worker_processes,
                                    "; a run needs two slots, a dry run or preview one."),
               .hint = "Wait until other workers end, or increase max_worker_processes and restart the server."});
}

const char* task_label(TaskKind kind)
{
    switch (kind) {
    case TaskKind::preview:
        return "pg_cleanup preview";
    case TaskKind::cron_job:
        return "pg_cleanup cron job";
    default:
        return "pg_cleanup dry run";
    }
}

void pg_terminate_worker(int /*code*/, Datum handle)
{
    TerminateBackgroundWorker(reinterpret_cast<BackgroundWorkerHandle*>(DatumGetPointer(handle)));
}

// Terminates the worker when this process ends by FATAL, which runs no destructors; without it the worker would notice
// only when it has something to say.
class EndsWithThisProcess {
public:
    explicit EndsWithThisProcess(const Worker& worker) : handle_(PointerGetDatum(worker.handle()))
    {
        pg_call([this] { before_shmem_exit(pg_terminate_worker, handle_); });
    }
    ~EndsWithThisProcess()
    {
        pg::pg_cleanup_call([this] { cancel_before_shmem_exit(pg_terminate_worker, handle_); });
    }
    EndsWithThisProcess(const EndsWithThisProcess&) = delete;
    EndsWithThisProcess& operator=(const EndsWithThisProcess&) = delete;

private:
    Datum handle_;
};

} // namespace

Worker Worker::start(WorkerKind kind, const TaskRequest& request, const std::string& label)
{
    TaskChannel channel = TaskChannel::create(request);
    BackgroundWorkerHandle* handle = register_worker(describe(kind, channel.handle(), label));
    if (handle == nullptr)
        raise_no_slot();
    channel.expect(handle);
    return {std::move(channel), handle};
}

Worker::Worker(Worker&& other) noexcept
    : channel_(std::move(other.channel_)), handle_(std::exchange(other.handle_, nullptr))
{
}

Worker::~Worker()
{
    if (handle_ == nullptr)
        return;
    pg::pg_cleanup_call([this] { TerminateBackgroundWorker(handle_); });
    pfree(handle_);
}

bool Worker::is_running() const
{
    return is_worker_running(handle_);
}

void Worker::cancel() const
{
    pg_atomic_write_u32(&channel_.state().cancel_requested, 1);
    pg_call([this] {
        pid_t pid = 0;
        if (GetBackgroundWorkerPid(handle_, &pid) == BGWH_STARTED)
            kill(pid, SIGINT);
    });
}

void Worker::terminate() const
{
    terminate_worker(handle_);
}

void run_task_in_worker(const TaskRequest& request, const std::function<void(const std::vector<pg::Cell>&)>& on_row)
{
    TaskRequest complete = request;
    if (!OidIsValid(request.database)) {
        complete.database = MyDatabaseId;
        complete.connection = connection_for(request.owner);
    }
    Worker worker = Worker::start(WorkerKind::owner, complete, task_label(request.kind));
    const EndsWithThisProcess ending(worker);
    for (;;) {
        bool closed = false;
        const std::optional<Message> message = worker.channel().receive(closed);
        if (!message) {
            if (closed)
                break;
            pg::wait_for_latch(poll_interval);
            continue;
        }
        switch (message->kind) {
        case MessageKind::row:
            on_row(message->cells);
            break;
        case MessageKind::error:
            throw error_of_cells(message->cells);
        case MessageKind::done:
            return;
        }
    }
    pg::raise({.sqlstate = ERRCODE_CONNECTION_FAILURE,
               .message = "the pg_cleanup worker ended before its work was done",
               .detail = pg::concat("It ran as role ", pg::role_name(request.owner), "."),
               .hint = "The server's log says why."});
}

BackgroundWorkerHandle* start_probe_worker(Oid database)
{
    return register_worker(
        described(ObjectIdGetDatum(database), "pg_cleanup_probe_worker", "pg_cleanup probe", "pg_cleanup probe"));
}

bool is_worker_running(BackgroundWorkerHandle* handle)
{
    return pg_call([=] {
        pid_t pid = 0;
        const BgwHandleStatus status = GetBackgroundWorkerPid(handle, &pid);
        return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
    });
}

void terminate_worker(BackgroundWorkerHandle* handle)
{
    pg_call([=] { TerminateBackgroundWorker(handle); });
}

std::int32_t connection_for(Oid owner)
{
    const bool may_connect = pg_call([&] {
        HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
        if (!HeapTupleIsValid(tuple))
            return false;
        const bool login = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcanlogin;
        ReleaseSysCache(tuple);
        return (login || pg::can_bypass_login_check) && pg::pg_may_connect(owner);
    });
    return static_cast<std::int32_t>(may_connect ? Connection::as_owner : Connection::switched);
}

} // namespace pgcleanup
