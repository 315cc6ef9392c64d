// A short look into one database for the launcher: whether the extension is there, and when its schedules are due next.
#include "extension/launcher_memory.h"
#include "extension/schedule.h"
#include "extension/schedule_state.h"
#include "extension/settings.h"
#include "pg/subtransaction.h"
#include "pg/transaction.h"

extern "C" {
PGDLLEXPORT void pg_cleanup_probe_worker(Datum database);
}

namespace pgcleanup {

namespace {

using pg::pg_call;

void connect(Oid database)
{
    pg_call([=] {
        pqsignal(SIGTERM, die);
        BackgroundWorkerUnblockSignals();
        BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    });
    pg::set_for_worker("default_transaction_isolation", "read committed");
    pg::set_for_worker("default_transaction_read_only", "off");
    pg::set_for_worker("search_path", "pg_catalog, pg_temp");
    pg::set_for_worker("application_name", "pg_cleanup");
    // Who locks our tables keeps this process from going away, and that keeps others from dropping the database.
    pg::set_for_worker("lock_timeout", "1s");
}

// Writes down what was missed meanwhile.
std::optional<DueTime> look_at(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule,
                               const core::ScheduleContext& context)
{
    if (schedule.kind == ScheduleKind::cron)
        return std::nullopt;
    if (!schedule.enabled) {
        suspend(spi, extension, schedule);
        return std::nullopt;
    }
    const core::ScheduleDecision decision = ScheduleTimes(schedule).decide(context);
    pass_over(spi, extension, schedule, decision);
    return DueTime{schedule.id, to_timestamp(decision.starts_at)};
}

std::vector<Schedule> read_schedules(const pg::Extension& extension)
{
    pg::Spi spi;
    return all_schedules(spi, extension);
}

std::vector<DueTime> due_times(const pg::Extension& extension)
{
    const core::ScheduleContext context{schedule_now(), to_instant(watched_since()), catch_up()};
    std::vector<DueTime> due;
    for (const Schedule& schedule : read_schedules(extension)) {
        // A time zone that is gone after an update of its data, say, must not stop the others.
        const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] {
            pg::Spi spi;
            if (const std::optional<DueTime> next = look_at(spi, extension, schedule, context))
                due.push_back(*next);
        });
        if (error)
            pg::log_error(LOG, pg::concat("pg_cleanup: schedule ", schedule.id, " cannot be carried out: "), *error);
    }
    std::ranges::sort(due, {}, &DueTime::starts_at);
    return due;
}

ProbeResult probe()
{
    ProbeResult result;
    pg::WorkerTransaction transaction;
    const std::optional<pg::Extension> extension = pg::find_extension();
    // With tables of another version nothing can run until they are updated.
    result.has_extension = extension && extension->version == pg::library_version();
    if (result.has_extension)
        result.due = due_times(*extension);
    transaction.commit();
    return result;
}

void probe_worker(Oid database)
{
    connect(database);
    pg_call([] { pgstat_report_activity(STATE_RUNNING, "pg_cleanup probe"); });
    publish_probe(database, probe());
}

} // namespace

} // namespace pgcleanup

void pg_cleanup_probe_worker(Datum database)
{
    pgcleanup::pg::pg_entry([=] { pgcleanup::probe_worker(DatumGetObjectId(database)); });
}
