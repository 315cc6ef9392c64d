// Starting background workers and ending them.
#pragma once

#include "extension/task_channel.h"

namespace pgcleanup {

enum class WorkerKind { run, owner };

// A worker that this process started, with the channel to it. Destruction before the worker ended terminates it, unless
// release() was called.
class Worker {
public:
    // Raises configuration_limit_exceeded, naming max_worker_processes, when no slot is free. `label` is what the
    // worker is called in pg_stat_activity and the log.
    static Worker start(WorkerKind kind, const TaskRequest& request, const std::string& label);
    ~Worker();
    Worker(Worker&& other) noexcept;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    Worker& operator=(Worker&&) = delete;

    TaskChannel& channel() noexcept { return channel_; }
    const TaskChannel& channel() const noexcept { return channel_; }
    BackgroundWorkerHandle* handle() const noexcept { return handle_; }
    bool is_running() const;
    // Asks for an end at the next batch, and interrupts the statement that runs now.
    void cancel() const;
    // SIGTERM: owner code cannot swallow that.
    void terminate() const;
    // Lets the worker go on by itself.
    void release() noexcept { handle_ = nullptr; }

private:
    Worker(TaskChannel channel, BackgroundWorkerHandle* handle) : channel_(std::move(channel)), handle_(handle) {}
    TaskChannel channel_;
    BackgroundWorkerHandle* handle_;
};

// Runs a read-only task (dry run, preview) in a worker as `request.owner`, hands over its rows, and raises what it
// raised. Works in `request.database`, InvalidOid: this one. When the caller is cancelled the worker is terminated.
// Needs no transaction of a particular kind; works in recovery.
void run_task_in_worker(const TaskRequest& request, const std::function<void(const std::vector<pg::Cell>&)>& on_row);

// The launcher's look into a database; null when no worker slot is free. The handle is the caller's, to be freed by
// pfree().
BackgroundWorkerHandle* start_probe_worker(Oid database);
bool is_worker_running(BackgroundWorkerHandle* handle);
void terminate_worker(BackgroundWorkerHandle* handle);

// How a worker can be `owner` in this database: connected as him when he may log in and connect, else switched to.
std::int32_t connection_for(Oid owner);

} // namespace pgcleanup
