#include "extension/check.h"

#include "extension/history.h"
#include "extension/liveness.h"
#include "extension/pause.h"
#include "extension/settings.h"

namespace pgcleanup {

void check_version(const pg::Extension& extension, CheckReport& report)
{
    const std::string_view library = pg::library_version();
    if (extension.version != library)
        report.add(CheckStatus::error, "version",
                   pg::concat("the extension is version ", extension.version, ", the library that is loaded ", library),
                   "ALTER EXTENSION pg_cleanup UPDATE; -- and connect again, so that a new library is loaded");
    report.otherwise_ok("version", extension.version);
}

namespace {

void check_pause(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    if (const std::optional<PauseState> pause = current_pause(spi, extension))
        report.add(CheckStatus::warning, "pause", pause_text(*pause),
                   call_text(extension, "cleanup_resume", "why it may go on"));
    report.otherwise_ok("pause", "not paused");
}

// A worker slot is taken by every process of pg_stat_activity that is none of PostgreSQL's own kinds; the names are
// those of versions 15 to 18.
constexpr const char* worker_slots_sql =
    "SELECT current_setting('max_worker_processes')::int, count(*) FROM pg_stat_activity WHERE backend_type NOT IN ("
    "'client backend', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer', 'startup', "
    "'walwriter', 'walreceiver', 'walsender', 'walsummarizer', 'archiver', 'logger', 'slotsync worker', 'io worker', "
    "'standalone backend')";

void check_worker_slots(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    constexpr std::int64_t slots_a_run_needs = 2;
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(worker_slots_sql, {}, pg::Access::read_only);
    const std::int64_t all = pg::to_int64(rows[0][0]);
    const std::int64_t used = pg::to_int64(rows[0][1]);
    const std::string detail = pg::concat(used, " of ", all, " worker processes are in use (max_worker_processes)");
    if (all - used < slots_a_run_needs)
        report.add(CheckStatus::error, "worker_slots", pg::concat(detail, "; a run needs ", slots_a_run_needs),
                   pg::concat("ALTER SYSTEM SET max_worker_processes = ", all + 8, "; -- then restart the server"));
    report.otherwise_ok("worker_slots", detail);
}

void check_dead_runs(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    for (const std::int64_t run : find_dead_runs(spi, extension))
        report.add(CheckStatus::warning, "dead_runs", pg::concat("run ", run, " was interrupted: its process is gone"),
                   "The next run marks it so and goes on with the rows that are left.");
    report.otherwise_ok("dead_runs", "every run that is marked as running is alive");
}

constexpr const char* history_size_sql =
    "SELECT pg_size_pretty(sum(pg_total_relation_size(oid))), "
    "CASE current_setting('pg_cleanup.history_retain') WHEN '-1' THEN 'ever' ELSE "
    "current_setting('pg_cleanup.history_retain') END "
    "FROM pg_class "
    "WHERE relnamespace = $1 AND relname IN ('cleanup_runs', 'cleanup_run_targets', 'cleanup_audit')";

std::string history_text(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(history_size_sql, pg::Parameters().oid(extension.schema), pg::Access::read_only);
    return pg::concat("runs and audit take ", pg::to_text(rows[0][0]), " and are kept for ", pg::to_text(rows[0][1]),
                      " (pg_cleanup.history_retain)");
}

void check_history(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    const std::optional<std::chrono::minutes> retain = history_retain();
    const std::string detail = history_text(spi, extension);
    if (!retain) {
        report.otherwise_ok("history", detail);
        return;
    }
    // What is a day past its time should have gone with the last run.
    constexpr std::chrono::microseconds slack = std::chrono::hours(24);
    const TimestampTz limit = GetCurrentTransactionStartTimestamp() - (*retain + slack).count();
    if (history_is_due(spi, extension, limit))
        report.add(CheckStatus::warning, "history", pg::concat(detail, "; older rows are still there"),
                   "Every run removes some of them when it starts.");
    report.otherwise_ok("history", detail);
}

} // namespace

void check_server(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    check_pause(spi, extension, report);
    check_worker_slots(spi, extension, report);
    check_dead_runs(spi, extension, report);
    check_history(spi, extension, report);
}

} // namespace pgcleanup
