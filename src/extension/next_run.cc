#include "extension/next_run.h"

#include "core/cron_expression.h"
#include "extension/cron_jobs.h"
#include "extension/launcher_memory.h"
#include "extension/settings.h"
#include "pg/settings_scope.h"
#include "pg/text.h"

extern "C" {
#include "commands/dbcommands.h"
}

namespace pgcleanup {

using core::Instant;
using pg::concat;

namespace {

// pg_cron reads its schedules in cron.timezone, and in GMT before it had that.
core::Zone cron_zone()
{
    const char* name = pg::pg_call([] { return GetConfigOption("cron.timezone", true, false); });
    return zone_named(name == nullptr ? "GMT" : name);
}

// The next time that pg_cron fires while the window is open: at other times nothing happens.
std::optional<Instant> next_cron_run(const Schedule& schedule)
{
    constexpr int most_windows = 400;
    const std::optional<core::CronExpression> expression = core::CronExpression::parse(schedule.cron);
    if (!expression)
        return std::nullopt;
    const core::Zone zone = cron_zone();
    const core::Zone window_zone = zone_named(schedule.time_zone);
    const std::optional<core::RunWindow> window = window_of(schedule);
    std::optional<Instant> next = expression->next_after(schedule_now(), zone);
    for (int n = 0; next && window && n < most_windows; ++n) {
        const Instant opening = core::window_opening(*window, *next, window_zone);
        if (opening == *next)
            return next;
        next = expression->next_after(opening - std::chrono::microseconds{1}, zone);
    }
    return window ? std::nullopt : next;
}

bool is_among_scheduled_databases()
{
    const std::vector<std::string> named = scheduled_databases();
    return named.empty() || std::ranges::find(named, database_name()) != named.end();
}

} // namespace

std::string database_name()
{
    return pg::pg_call([] { return get_database_name(MyDatabaseId); });
}

std::string preload_statement(std::string_view library)
{
    const std::string present = pg::current_setting("shared_preload_libraries");
    return concat("ALTER SYSTEM SET shared_preload_libraries = ", present, present.empty() ? "" : ", ", library,
                  "; -- then restart the server");
}

std::optional<Obstacle> launcher_obstacle()
{
    if (!has_launcher())
        return Obstacle{"pg_cleanup is not among shared_preload_libraries, so nothing runs schedules",
                        preload_statement("pg_cleanup")};
    if (!schedules_enabled())
        return Obstacle{"pg_cleanup.enabled is off, so no schedule runs",
                        "ALTER SYSTEM SET pg_cleanup.enabled = on; SELECT pg_reload_conf();"};
    if (!is_among_scheduled_databases())
        return Obstacle{
            concat("pg_cleanup.databases does not name database ", database_name(), ", so its schedules do not run"),
            "Add it to pg_cleanup.databases, or leave that empty; then SELECT pg_reload_conf();"};
    return std::nullopt;
}

std::optional<Instant> next_run(const Schedule& schedule)
{
    if (!schedule.enabled || pg::pg_call([] { return RecoveryInProgress(); }) || fault_of(schedule))
        return std::nullopt;
    if (schedule.kind == ScheduleKind::cron)
        return schedules_enabled() && cron_obstacle(schedule) == std::nullopt ? next_cron_run(schedule) : std::nullopt;
    if (launcher_obstacle())
        return std::nullopt;
    const TimestampTz since = watched_since();
    const Instant now = schedule_now();
    return ScheduleTimes(schedule).decide({now, since == 0 ? now : to_instant(since), catch_up()}).starts_at;
}

NextRuns::NextRuns(pg::Spi& spi, const pg::Extension& extension) : schedules_(all_schedules(spi, extension)) {}

std::optional<Instant> NextRuns::of(const Policy& policy) const
{
    std::optional<Instant> earliest;
    for (const Schedule& schedule : schedules_) {
        if (!policy.enabled || (schedule.policy_id != 0 && schedule.policy_id != policy.id))
            continue;
        const std::optional<Instant> next = next_run(schedule);
        if (next && (!earliest || *next < *earliest))
            earliest = next;
    }
    return earliest;
}

} // namespace pgcleanup
