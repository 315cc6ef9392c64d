// cleanup_schedule and cleanup_unschedule.
#include "extension/arguments.h"
#include "extension/audit.h"
#include "extension/calls.h"
#include "extension/cron_jobs.h"
#include "extension/launcher_memory.h"
#include "extension/next_run.h"
#include "extension/policy_access.h"
#include "extension/schedule_state.h"
#include "pg/settings_scope.h"
#include "pg/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_schedule);
PG_FUNCTION_INFO_V1(cleanup_unschedule);
PG_FUNCTION_INFO_V1(cleanup_schedules_changed);
}

namespace pgcleanup {

namespace {

using pg::concat;

enum Argument { argument_policy, argument_cron, argument_at, argument_every, argument_run_window };

// What cleanup_schedule was asked for.
struct WantedSchedule {
    std::string policy;
    std::optional<std::int64_t> policy_id; // nothing: every policy
    std::optional<std::string> cron;
    std::optional<TimeADT> at;
    const Interval* every = nullptr;
    std::optional<std::string> run_window;

    const char* kind() const { return at ? "at" : every != nullptr ? "every" : "cron"; }
};

[[noreturn]] void refuse(std::string message, std::string detail, std::string hint)
{
    pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

WantedSchedule wanted_schedule(FunctionCallInfo fcinfo)
{
    WantedSchedule wanted;
    wanted.policy = policy_argument(fcinfo, argument_policy);
    wanted.cron = pg::text_argument(fcinfo, argument_cron);
    if (!PG_ARGISNULL(argument_at))
        wanted.at = PG_GETARG_TIMEADT(argument_at);
    if (!PG_ARGISNULL(argument_every))
        wanted.every = PG_GETARG_INTERVAL_P(argument_every);
    wanted.run_window = pg::text_argument(fcinfo, argument_run_window);
    return wanted;
}

void check_every_argument(const Interval& every)
{
    const std::string detail = concat("It is ", pg::output_text(IntervalPGetDatum(&every), INTERVALOID), ".");
    switch (core::check_every({every.month, every.day, every.time})) {
    case core::EveryCheck::ok:
        return;
    case core::EveryCheck::negative:
        refuse("every must be positive in all its parts", detail, "");
    case core::EveryCheck::too_short:
        refuse("every must be at least a minute", detail, "A number alone is seconds: write '10 minutes', '6 hours'.");
    case core::EveryCheck::too_long:
        refuse("every must be at most ten years", detail, "");
    }
}

void check(const WantedSchedule& wanted)
{
    const int given = (wanted.cron ? 1 : 0) + (wanted.at ? 1 : 0) + (wanted.every != nullptr ? 1 : 0);
    if (given != 1)
        refuse(given == 0 ? "a schedule needs a time" : "a schedule has one of cron, at and every, not several", "",
               "One of: at => '03:00', every => '6 hours', cron => '0 3 * * *'.");
    if (wanted.every != nullptr)
        check_every_argument(*wanted.every);
    if (wanted.run_window && !core::parse_run_window(*wanted.run_window))
        refuse("run_window must be two times of day", concat("It is \"", *wanted.run_window, "\"."),
               "Hours and minutes, like '22:00-06:00', in the policy's time zone; leave it out for any time.");
}

std::optional<std::int64_t> lock_scheduled_policy(pg::Spi& spi, const pg::Extension& extension,
                                                  const std::string& policy)
{
    if (policy != every_policy)
        return lock_policy_for(spi, extension, policy, Right::administer).id;
    if (!Rights(spi, extension, GetUserId()).may_with_every_policy(Right::administer))
        pg::raise({.sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE,
                   .message = "permission denied to schedule every policy",
                   .detail = "It takes the level admin for every policy.",
                   .hint = "Name one of your policies."});
    return std::nullopt;
}

std::string audit_details(const WantedSchedule& wanted)
{
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    pg::JsonObject details;
    details.text("kind", std::string_view(wanted.kind()));
    if (wanted.at)
        details.text("at", pg::output_text(TimeADTGetDatum(*wanted.at), TIMEOID));
    if (wanted.every != nullptr)
        details.text("every", pg::output_text(IntervalPGetDatum(wanted.every), INTERVALOID));
    if (wanted.cron)
        details.text("cron", *wanted.cron);
    if (wanted.run_window)
        details.text("run_window", *wanted.run_window);
    return details.str();
}

std::optional<std::string> policy_name(const std::string& policy)
{
    return policy == every_policy ? std::nullopt : std::optional<std::string>(policy);
}

std::optional<std::string> job_name(const WantedSchedule& wanted)
{
    if (!wanted.cron)
        return std::nullopt;
    return concat("pg_cleanup ", database_name(), ": ", wanted.policy);
}

std::int64_t insert_schedule(pg::Spi& spi, const pg::Extension& extension, const WantedSchedule& wanted)
{
    const std::string creator = pg::role_name(GetUserId());
    const std::string time_zone = pg::current_setting("TimeZone");
    const std::optional<std::string> job = job_name(wanted);
    const pg::AsExtensionOwner as_owner(extension);
    pg::Parameters values;
    values.int8(wanted.policy_id)
        .text(wanted.kind())
        .value(TIMEOID, TimeADTGetDatum(wanted.at.value_or(0)), !wanted.at)
        .value(INTERVALOID, PointerGetDatum(wanted.every), wanted.every == nullptr)
        .text(wanted.cron)
        .text(wanted.run_window)
        .text(time_zone)
        .name(creator)
        .timestamp(to_timestamp(schedule_now()))
        .text(job);
    return pg::to_int64(
        spi.run(pg::in_extension_schema("INSERT INTO @extschema@.cleanup_schedules "
                                        "(policy_id, kind, at, every, cron, run_window, time_zone, created_by, "
                                        "created_at, job_name) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
                                        "RETURNING schedule_id",
                                        extension),
                values)[0][0]);
}

bool delete_schedule(pg::Spi& spi, const pg::Extension& extension, std::optional<std::int64_t> policy_id)
{
    const pg::AsExtensionOwner as_owner(extension);
    return spi.run(pg::in_extension_schema(
                       "DELETE FROM @extschema@.cleanup_schedules WHERE policy_id IS NOT DISTINCT FROM $1", extension),
                   pg::Parameters().int8(policy_id))
               .processed() > 0;
}

// With its job in pg_cron; whether there was one.
bool remove_schedule(pg::Spi& spi, const pg::Extension& extension, std::optional<std::int64_t> policy_id)
{
    const std::optional<Schedule> present = find_schedule(spi, extension, policy_id.value_or(0));
    const bool was_there = delete_schedule(spi, extension, policy_id);
    if (present && present->kind == ScheduleKind::cron)
        remove_cron_job(extension, *present);
    return was_there;
}

void warn_of_disabled_policy(const pg::Extension& extension, const Schedule& schedule)
{
    if (!schedule.enabled)
        pg::notice(WARNING,
                   {.sqlstate = ERRCODE_WARNING,
                    .message = concat("policy \"", schedule.policy, "\" is disabled, so its schedule does not run"),
                    .hint = concat("SELECT ", callable(extension, "cleanup_alter_policy"), "(",
                                   pg::quote_literal(schedule.policy), ", enabled => true);")});
}

void warn_of_obstacle()
{
    if (const std::optional<Obstacle> obstacle = launcher_obstacle())
        pg::notice(WARNING, {.sqlstate = ERRCODE_WARNING, .message = obstacle->what, .hint = obstacle->remedy});
}

std::optional<core::Instant> schedule(FunctionCallInfo fcinfo)
{
    WantedSchedule wanted = wanted_schedule(fcinfo);
    check(wanted);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    wanted.policy_id = lock_scheduled_policy(spi, extension, wanted.policy);
    if (wanted.cron)
        check_cron_is_there();
    remove_schedule(spi, extension, wanted.policy_id);
    begin_schedule(spi, extension, insert_schedule(spi, extension, wanted));
    write_audit(spi, extension,
                {.event = "schedule",
                 .policy = policy_name(wanted.policy),
                 .policy_id = wanted.policy_id,
                 .details = audit_details(wanted)});
    const std::optional<Schedule> made = find_schedule(spi, extension, wanted.policy_id.value_or(0));
    if (!made)
        return std::nullopt;
    warn_of_disabled_policy(extension, *made);
    if (wanted.cron)
        make_cron_job(extension, *made);
    else
        warn_of_obstacle();
    return next_run(*made);
}

void unschedule(FunctionCallInfo fcinfo)
{
    const std::string policy = policy_argument(fcinfo, argument_policy);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const std::optional<std::int64_t> policy_id = lock_scheduled_policy(spi, extension, policy);
    if (!remove_schedule(spi, extension, policy_id))
        pg::raise({.sqlstate = ERRCODE_UNDEFINED_OBJECT,
                   .message = policy == every_policy ? std::string("there is no schedule for every policy")
                                                     : concat("policy \"", policy, "\" has no schedule"),
                   .hint = "cleanup_schedules lists those that there are."});
    write_audit(spi, extension, {.event = "unschedule", .policy = policy_name(policy), .policy_id = policy_id});
}

} // namespace

} // namespace pgcleanup

using namespace pgcleanup;

Datum cleanup_schedule(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        const std::optional<core::Instant> next = schedule(fcinfo);
        if (!next)
            PG_RETURN_NULL();
        return TimestampTzGetDatum(to_timestamp(*next));
    });
}

Datum cleanup_unschedule(PG_FUNCTION_ARGS)
{
    return pg::pg_entry([&] {
        unschedule(fcinfo);
        return Datum(0);
    });
}

Datum cleanup_schedules_changed(PG_FUNCTION_ARGS)
{
    static_cast<void>(fcinfo);
    return pg::pg_entry([] {
        wake_launcher_at_commit();
        return PointerGetDatum(nullptr);
    });
}
