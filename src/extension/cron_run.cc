// cleanup_run_scheduled: what a job of pg_cron calls.
#include "extension/liveness.h"
#include "extension/policy_access.h"
#include "extension/run_caller.h"
#include "extension/schedule_state.h"
#include "extension/settings.h"
#include "extension/transaction_rules.h"
#include "pg/text.h"
#include "pg/transaction.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_run_scheduled);
}

namespace pgcleanup {

namespace {

using pg::concat;

// The name of a policy that the caller may not see must not come out.
void check_may_run(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule)
{
    const Rights rights(spi, extension, GetUserId());
    if (schedule.policy_id == 0) {
        if (!rights.may_with_every_policy(Right::run))
            pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
                       .message = "permission denied to run the schedule of every policy",
                       .detail = "It takes the level operator for every policy."});
        return;
    }
    const std::optional<Policy> policy = find_policy(spi, extension, schedule.policy);
    if (!policy || !rights.may(Right::see, *policy))
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
                   .message = concat("there is no schedule ", schedule.id, " of a policy that you may see")});
    rights.require(Right::run, *policy);
}

std::optional<Schedule> lock_cron_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t id)
{
    const std::vector<Schedule> schedules = all_schedules(spi, extension);
    const auto found = std::ranges::find(schedules, id, &Schedule::id);
    if (found == schedules.end())
        return std::nullopt;
    check_may_run(spi, extension, *found);
    if (found->kind != ScheduleKind::cron)
        return std::nullopt;
    return lock_schedule(spi, extension, id);
}

// Why it does not run now, although its time has come.
std::optional<std::string> reason_not_to_run(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule)
{
    if (!schedules_enabled())
        return "pg_cleanup.enabled is off";
    if (!schedule.enabled)
        return concat("policy \"", schedule.policy, "\" is disabled");
    const core::Instant now = schedule_now();
    const std::optional<core::RunWindow> window = window_of(schedule);
    if (window && core::window_opening(*window, now, zone_named(schedule.time_zone)) > now)
        return "its window is closed";
    if (schedule.last_run && run_liveness(extension, *schedule.last_run) == Liveness::alive) {
        count_overlap(spi, extension, schedule);
        return concat("run ", *schedule.last_run, " of the same schedule is still at work");
    }
    return std::nullopt;
}

TaskRequest request_of(const Schedule& schedule)
{
    TaskRequest request;
    request.kind = TaskKind::run;
    request.database = MyDatabaseId;
    request.owner = BOOTSTRAP_SUPERUSERID;
    request.trigger = RunTrigger::cron;
    request.schedule_id = schedule.id;
    request.policy_id = schedule.policy_id;
    request.requested_by = GetUserId();
    request.start = pg::now();
    request.wait = false;
    if (const std::optional<core::RunWindow> window = window_of(schedule))
        request.window_closes.set(
            to_timestamp(core::window_closing(*window, schedule_now(), zone_named(schedule.time_zone))));
    request.batch_target_ms = static_cast<std::int32_t>(batch_target().count());
    request.lock_timeout_ms = static_cast<std::int32_t>(lock_timeout().count());
    return request;
}

std::optional<std::int64_t> run_scheduled(FunctionCallInfo fcinfo)
{
    if (PG_ARGISNULL(0))
        pg::raise({.sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED, .message = "schedule_id must not be NULL"});
    check_can_write("cleanup_run_scheduled()");
    const std::int64_t id = PG_GETARG_INT64(0);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const std::optional<Schedule> schedule = lock_cron_schedule(spi, extension, id);
    if (!schedule) {
        pg::notice(NOTICE, {.message = concat("there is no schedule ", id, " with cron any more"),
                            .hint = "Remove the job with cron.unschedule."});
        return std::nullopt;
    }
    if (const std::optional<std::string> reason = reason_not_to_run(spi, extension, *schedule)) {
        pg::notice(NOTICE, {.message = concat("nothing is run: ", *reason)});
        return std::nullopt;
    }
    const std::int64_t run_id = start_run_at_commit(request_of(*schedule), extension);
    core::ScheduleDecision decision;
    decision.handled_until = schedule_now();
    begin_run(spi, extension, *schedule, decision, run_id);
    return run_id;
}

} // namespace

} // namespace pgcleanup

Datum cleanup_run_scheduled(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        const std::optional<std::int64_t> run_id = pgcleanup::run_scheduled(fcinfo);
        if (!run_id)
            PG_RETURN_NULL();
        return Int64GetDatum(*run_id);
    });
}
