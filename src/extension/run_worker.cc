// The worker that coordinates a run: connected as the bootstrap superuser, it runs constant SQL only.
#include "extension/run_coordinator.h"

#include "pg/lock_tag.h"

extern "C" {
PGDLLEXPORT void pg_cleanup_run_worker(Datum channel);
}

namespace pgcleanup {

namespace {

using pg::pg_call;

void connect(const TaskRequest& request)
{
    pg_call([&] { BackgroundWorkerInitializeConnectionByOid(request.database, InvalidOid, 0); });
    pg::set_for_worker("default_transaction_isolation", "read committed");
    pg::set_for_worker("default_transaction_read_only", "off");
    pg::set_for_worker("statement_timeout", "0");
    pg::set_for_worker("lock_timeout", "0");
    pg::set_for_worker("idle_in_transaction_session_timeout", "0");
    pg::set_for_worker("search_path", "pg_catalog, pg_temp");
    // Compiling a catalog query takes longer than any of them.
    pg::set_for_worker("jit", "off");
    pg::set_for_worker("application_name", "pg_cleanup");
}

// What the launcher still knows of may be gone, or be of another version by now.
bool is_of_lost_extension(const TaskRequest& request)
{
    if (request.trigger != RunTrigger::schedule)
        return false;
    pg::WorkerTransaction transaction;
    const std::optional<pg::Extension> extension = pg::find_extension();
    transaction.commit();
    return !extension || extension->version != pg::library_version();
}

void run_worker(dsm_handle handle)
{
    pg_call([] {
        pqsignal(SIGHUP, SignalHandlerForConfigReload);
        // A stop of the server must leave time to write down how the run ended.
        pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
        BackgroundWorkerUnblockSignals();
    });
    pg::release_session_locks_at_exit();
    const TaskChannel channel = TaskChannel::attach(handle);
    connect(channel.state().request);
    pg_call([] { pgstat_report_activity(STATE_RUNNING, "pg_cleanup run: starting"); });
    try {
        if (is_of_lost_extension(channel.state().request)) {
            pg_atomic_write_u32(&channel.state().declined, 1);
            return;
        }
        RunCoordinator(channel).execute();
        channel.send(MessageKind::done, {});
    } catch (const pg::PgError& error) {
        pg::log_error(LOG, "pg_cleanup: a run could not be carried out: ", error);
        channel.send(MessageKind::error, error_cells(error));
    }
}

} // namespace

} // namespace pgcleanup

void pg_cleanup_run_worker(Datum channel)
{
    pgcleanup::pg::pg_entry([&] { pgcleanup::run_worker(DatumGetUInt32(channel)); });
}
