#include "extension/schedule.h"

#include "extension/settings.h"
#include "extension/time_zone.h"
#include "pg/subtransaction.h"
#include "pg/transaction.h"

namespace pgcleanup {

using core::Instant;
using pg::concat;
using std::chrono::microseconds;

namespace {

constexpr microseconds epoch{static_cast<std::int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY};

// The parts of an interval apart: its text would have to be read again.
constexpr const char* select_sql = R"(
SELECT s.schedule_id, coalesce(s.policy_id, 0), coalesce(p.policy, '*'), coalesce((p.target::regclass)::oid, 0),
  coalesce(p.enabled, true), s.kind, (extract(epoch FROM s.at) * 1000000)::int8,
  (extract(year FROM s.every) * 12 + extract(month FROM s.every))::int4, extract(day FROM s.every)::int4,
  ((extract(hour FROM s.every) * 3600 + extract(minute FROM s.every) * 60) * 1000000
    + extract(microseconds FROM s.every))::int8,
  s.cron, s.run_window, coalesce(p.time_zone, s.time_zone), s.job_name, s.created_by,
  (extract(epoch FROM s.created_at) * 1000000)::int8,
  (extract(epoch FROM t.handled_until) * 1000000)::int8, t.unfinished, t.last_run_id
FROM @extschema@.cleanup_schedules AS s
  LEFT JOIN @extschema@.cleanup_policies AS p USING (policy_id)
  LEFT JOIN @extschema@.cleanup_schedule_states AS t USING (schedule_id))";

ScheduleKind kind_named(const std::string& name)
{
    if (name == "at")
        return ScheduleKind::at;
    return name == "every" ? ScheduleKind::every : ScheduleKind::cron;
}

std::int64_t number_or_zero(const pg::Cell& cell)
{
    return cell ? pg::to_int64(cell) : 0;
}

Schedule to_schedule(const std::vector<pg::Cell>& cells)
{
    auto cell = cells.begin();
    Schedule schedule;
    schedule.id = pg::to_int64(*cell++);
    schedule.policy_id = pg::to_int64(*cell++);
    schedule.policy = pg::to_text(*cell++);
    schedule.target = static_cast<Oid>(pg::to_int64(*cell++));
    schedule.enabled = pg::to_bool(*cell++);
    schedule.kind = kind_named(pg::to_text(*cell++));
    schedule.at = microseconds(number_or_zero(*cell++));
    schedule.every.months = static_cast<std::int32_t>(number_or_zero(*cell++));
    schedule.every.days = static_cast<std::int32_t>(number_or_zero(*cell++));
    schedule.every.microseconds = number_or_zero(*cell++);
    schedule.cron = (*cell++).value_or("");
    schedule.run_window = *cell++;
    schedule.time_zone = pg::to_text(*cell++);
    schedule.job_name = (*cell++).value_or("");
    schedule.created_by = pg::to_text(*cell++);
    schedule.anchor = Instant(microseconds(pg::to_int64(*cell++)));
    if (const pg::Cell& handled_until = *cell++; handled_until)
        schedule.state = core::ScheduleState{Instant(microseconds(pg::to_int64(handled_until))), pg::to_bool(*cell)};
    ++cell;
    if (*cell)
        schedule.last_run = pg::to_int64(*cell);
    return schedule;
}

std::vector<Schedule> select(pg::Spi& spi, const pg::Extension& extension, const char* rest,
                             const pg::Parameters& parameters)
{
    const pg::AsExtensionOwner as_owner(extension);
    std::vector<Schedule> schedules;
    for (const auto& row : spi.run(pg::in_extension_schema(concat(select_sql, rest), extension), parameters))
        schedules.push_back(to_schedule(row));
    return schedules;
}

std::optional<Schedule> only(std::vector<Schedule> schedules)
{
    if (schedules.empty())
        return std::nullopt;
    return std::move(schedules.front());
}

std::unique_ptr<core::Recurrence> times_of(const Schedule& schedule, const core::Zone& zone)
{
    if (schedule.kind == ScheduleKind::at)
        return std::make_unique<core::Daily>(schedule.at, zone);
    if (core::check_every(schedule.every) != core::EveryCheck::ok)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = "the interval of a schedule is not between a minute and ten years"});
    return std::make_unique<core::Every>(schedule.every, schedule.anchor, zone);
}

} // namespace

std::vector<Schedule> all_schedules(pg::Spi& spi, const pg::Extension& extension)
{
    return select(spi, extension, " ORDER BY s.schedule_id", {});
}

std::optional<Schedule> lock_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t id)
{
    return only(select(spi, extension, " WHERE s.schedule_id = $1 FOR NO KEY UPDATE OF s", pg::Parameters().int8(id)));
}

std::optional<Schedule> lock_free_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t id)
{
    return only(select(spi, extension, " WHERE s.schedule_id = $1 FOR NO KEY UPDATE OF s SKIP LOCKED",
                       pg::Parameters().int8(id)));
}

std::optional<Schedule> find_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t policy_id)
{
    return only(select(spi, extension, " WHERE coalesce(s.policy_id, 0) = $1", pg::Parameters().int8(policy_id)));
}

Instant schedule_now()
{
    return to_instant(pg::now()) + test_clock_offset();
}

Instant to_instant(TimestampTz time)
{
    return Instant(microseconds(time) + epoch);
}

TimestampTz to_timestamp(Instant instant)
{
    return (instant.time_since_epoch() - epoch).count();
}

std::optional<std::string> fault_of(const Schedule& schedule)
{
    const std::optional<pg::PgError> error = pg::try_in_subtransaction([&] {
        zone_named(schedule.time_zone);
        window_of(schedule);
        if (schedule.kind != ScheduleKind::cron)
            ScheduleTimes{schedule};
    });
    return error ? std::optional<std::string>(error->fields().message) : std::nullopt;
}

core::Zone zone_named(const std::string& name)
{
    pg_tz* const zone = find_time_zone(name);
    return [zone](Instant instant) {
        const pg_time_t seconds = std::chrono::floor<std::chrono::seconds>(instant).time_since_epoch().count();
        const pg_tm* const wall = pg_localtime(&seconds, zone);
        return std::chrono::seconds(wall == nullptr ? 0 : wall->tm_gmtoff);
    };
}

std::optional<core::RunWindow> window_of(const Schedule& schedule)
{
    std::optional<core::RunWindow> window = core::parse_run_window(schedule.run_window.value_or(default_run_window()));
    if (schedule.run_window && !window)
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = concat("the run_window of a schedule is no window: \"", *schedule.run_window, '"')});
    return window;
}

ScheduleTimes::ScheduleTimes(const Schedule& schedule)
    : zone_(zone_named(schedule.time_zone)), window_(window_of(schedule)), times_(times_of(schedule, zone_)),
      state_(schedule.state.value_or(core::ScheduleState{schedule_now()}))
{
}

core::ScheduleDecision ScheduleTimes::decide(const core::ScheduleContext& context) const
{
    return core::decide(*times_, window_, zone_, state_, context);
}

std::optional<Instant> ScheduleTimes::closes_at(Instant inside) const
{
    if (!window_)
        return std::nullopt;
    return core::window_closing(*window_, inside, zone_);
}

} // namespace pgcleanup
