#include "extension/check.h"
#include "extension/cron_jobs.h"
#include "extension/launcher_memory.h"
#include "extension/next_run.h"
#include "extension/rights.h"

namespace pgcleanup {

namespace {

// As row-level security has it: the schedule for every policy concerns everybody.
std::vector<Schedule> visible_schedules(pg::Spi& spi, const pg::Extension& extension)
{
    const Rights rights(spi, extension, GetUserId());
    std::vector<Schedule> schedules = all_schedules(spi, extension);
    std::erase_if(schedules, [&](const Schedule& schedule) {
        if (schedule.policy_id == 0)
            return false;
        const std::optional<Policy> policy = find_policy(spi, extension, schedule.policy);
        return !policy || !rights.may(Right::see, *policy);
    });
    return schedules;
}

bool any_needs_launcher(const std::vector<Schedule>& schedules)
{
    return std::ranges::any_of(schedules, [](const Schedule& one) { return one.kind != ScheduleKind::cron; });
}

std::string launcher_text(const LauncherStatus& status)
{
    return pg::concat("process ", status.pid, "; ", status.looks, " looks into databases and ", status.crashes,
                      " failures since the server started");
}

void check_launcher(const std::vector<Schedule>& schedules, CheckReport& report)
{
    const std::optional<Obstacle> obstacle = launcher_obstacle();
    if (obstacle && any_needs_launcher(schedules))
        report.add(CheckStatus::error, "launcher", obstacle->what, obstacle->remedy);
    else if (obstacle)
        report.otherwise_ok("launcher", "no schedule needs it");
    else if (pg::pg_call([] { return RecoveryInProgress(); }))
        report.otherwise_ok("launcher", "it starts when this standby is promoted");
    else if (const LauncherStatus status = launcher_status(); status.pid != 0)
        report.otherwise_ok("launcher", launcher_text(status));
    else
        report.add(CheckStatus::error, "launcher", "it does not run",
                   "Postmaster starts it again after five seconds; if it does not stay, the server's log says why.");
}

void check_cron(const std::vector<Schedule>& schedules, CheckReport& report)
{
    std::int64_t jobs = 0;
    for (const Schedule& schedule : schedules) {
        if (schedule.kind != ScheduleKind::cron)
            continue;
        ++jobs;
        if (const std::optional<Obstacle> obstacle = cron_obstacle(schedule))
            report.add(CheckStatus::error, "pg_cron", obstacle->what, obstacle->remedy);
    }
    report.otherwise_ok("pg_cron",
                        jobs == 0 ? "no schedule needs it"
                                  : pg::concat("it has the jobs of ", jobs, jobs == 1 ? " schedule" : " schedules"));
}

void check_faults(const pg::Extension& extension, const std::vector<Schedule>& schedules, CheckReport& report)
{
    for (const Schedule& schedule : schedules) {
        if (const std::optional<std::string> fault = fault_of(schedule))
            report.add(CheckStatus::error, "schedules",
                       pg::concat("the schedule of ", schedule.policy_id == 0 ? "every policy" : schedule.policy,
                                  " is not kept: ", *fault),
                       call_text(extension, "cleanup_unschedule", schedule.policy));
    }
    report.otherwise_ok("schedules", pg::concat(schedules.size(), schedules.size() == 1 ? " schedule" : " schedules"));
}

} // namespace

void check_schedules(pg::Spi& spi, const pg::Extension& extension, CheckReport& report)
{
    const std::vector<Schedule> schedules = visible_schedules(spi, extension);
    check_faults(extension, schedules, report);
    check_launcher(schedules, report);
    check_cron(schedules, report);
}

} // namespace pgcleanup
