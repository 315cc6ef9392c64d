#include "extension/run_caller.h"

#include "extension/run_row.h"
#include "extension/settings.h"
#include "pg/lock_tag.h"
#include "pg/text.h"
#include "pg/transaction.h"

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

constexpr std::chrono::milliseconds poll_interval{500};
constexpr std::chrono::seconds end_of_patience{10};

// Runs when the caller's end of the channel goes away, by an error or the end of the process too (FATAL).
void pg_asker_is_gone(dsm_segment* /*segment*/, Datum state)
{
    pg_atomic_write_u32(&reinterpret_cast<ChannelState*>(DatumGetPointer(state))->asker_gone, 1);
}

// Waits without answering interrupts: one has brought us here.
void wait_for_end(const Worker& worker)
{
    const std::chrono::microseconds until = pg::elapsed_clock() + cancel_grace() + end_of_patience;
    while (worker.is_running() && pg::elapsed_clock() < until) {
        pg_call([] {
            WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
            ResetLatch(MyLatch);
        });
    }
}

[[noreturn]] void raise_vanished(std::int64_t run_id)
{
    pg::raise({.sqlstate = ERRCODE_CONNECTION_FAILURE,
               .message = concat("the worker of pg_cleanup run ", run_id, " ended before the run was over"),
               .hint = "The server's log says why; what was committed is counted in cleanup_run_targets."});
}

void take_messages(Worker& worker, const std::function<void(const std::vector<pg::Cell>&)>& on_row)
{
    for (;;) {
        bool closed = false;
        const std::optional<Message> message = worker.channel().receive(closed);
        if (!message) {
            if (closed)
                raise_vanished(static_cast<std::int64_t>(pg_atomic_read_u64(&worker.channel().state().run_id)));
            pg::wait_for_latch(poll_interval);
            continue;
        }
        if (message->kind == MessageKind::done)
            return;
        if (message->kind == MessageKind::error)
            throw error_of_cells(message->cells);
        on_row(message->cells);
    }
}

} // namespace

void run_and_wait(const TaskRequest& request, const std::function<void(const std::vector<pg::Cell>&)>& on_row)
{
    Worker worker = Worker::start(WorkerKind::run, request, "pg_cleanup run");
    worker.channel().on_close(pg_asker_is_gone);
    try {
        take_messages(worker, on_row);
    } catch (...) {
        worker.cancel();
        wait_for_end(worker);
        worker.release();
        throw;
    }
    worker.release();
}

std::int64_t start_run_at_commit(const TaskRequest& request, const pg::Extension& extension)
{
    TaskRequest complete = request;
    const Oid anchor = pg::lock_anchor(extension.schema);
    {
        const pg::AsExtensionOwner owner(extension);
        pg::Spi spi;
        complete.run_id = insert_run(spi, extension, request, std::nullopt);
    }
    // Together with the coordinator's own lock, so that the run is never seen running and dead.
    pg::LockTag(anchor, pg::LockKind::run_alive, static_cast<uint32>(complete.run_id)).lock(ShareLock, false);
    complete.caller_xid = pg_call([] { return GetTopTransactionId(); });
    Worker worker = Worker::start(WorkerKind::run, complete, concat("pg_cleanup run ", complete.run_id));
    // The coordinator keeps the segment once it has attached to it, which comes before it says that it is alive.
    while (pg_atomic_read_u32(&worker.channel().state().alive) == 0) {
        if (!worker.is_running())
            raise_vanished(complete.run_id);
        pg::wait_for_latch(std::chrono::milliseconds(20));
    }
    worker.release();
    return complete.run_id;
}

} // namespace pgcleanup
