#include "extension/schedule_state.h"

namespace pgcleanup {

using core::Instant;
using pg::Parameters;

namespace {

void run(pg::Spi& spi, const pg::Extension& extension, const char* sql, const Parameters& parameters)
{
    const pg::AsExtensionOwner as_owner(extension);
    spi.run(pg::in_extension_schema(sql, extension), parameters);
}

std::optional<TimestampTz> handled_before(const Schedule& schedule)
{
    if (!schedule.state)
        return std::nullopt;
    return to_timestamp(schedule.state->handled_until);
}

} // namespace

void begin_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t schedule_id)
{
    run(spi, extension, "INSERT INTO @extschema@.cleanup_schedule_states (schedule_id, handled_until) VALUES ($1, $2)",
        Parameters().int8(schedule_id).timestamp(to_timestamp(schedule_now())));
}

void suspend(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule)
{
    if (schedule.state)
        run(spi, extension,
            "UPDATE @extschema@.cleanup_schedule_states SET handled_until = NULL, unfinished = false "
            "WHERE schedule_id = $1",
            Parameters().int8(schedule.id));
}

void pass_over(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule,
               const core::ScheduleDecision& decision)
{
    if (schedule.state && schedule.state->handled_until == decision.handled_until)
        return;
    const std::int64_t missed = decision.handled_until > schedule_now() ? 0 : decision.missed;
    run(spi, extension,
        "INSERT INTO @extschema@.cleanup_schedule_states AS t (schedule_id, handled_until) VALUES ($1, $2) "
        "ON CONFLICT (schedule_id) DO UPDATE SET handled_until = excluded.handled_until, missed = t.missed + $3 "
        "WHERE t.handled_until IS NOT DISTINCT FROM $4",
        Parameters()
            .int8(schedule.id)
            .timestamp(to_timestamp(decision.handled_until))
            .int8(missed)
            .timestamp(handled_before(schedule)));
}

void begin_run(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule,
               const core::ScheduleDecision& decision, std::int64_t run_id)
{
    run(spi, extension,
        "INSERT INTO @extschema@.cleanup_schedule_states AS t (schedule_id, handled_until, runs, missed, last_run_id) "
        "VALUES ($1, $2, 1, $3, $4) ON CONFLICT (schedule_id) DO UPDATE SET handled_until = excluded.handled_until, "
        "unfinished = false, runs = t.runs + 1, missed = t.missed + excluded.missed, "
        "last_run_id = excluded.last_run_id",
        Parameters()
            .int8(schedule.id)
            .timestamp(to_timestamp(decision.due.value_or(decision.handled_until)))
            .int8(decision.missed)
            .int8(run_id));
}

void count_overlap(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule)
{
    run(spi, extension,
        "UPDATE @extschema@.cleanup_schedule_states SET overlapped = overlapped + 1 WHERE schedule_id = $1",
        Parameters().int8(schedule.id));
}

void end_run(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule, bool unfinished)
{
    const Instant now = schedule_now();
    const Instant before = schedule.state ? schedule.state->handled_until : now;
    run(spi, extension,
        "UPDATE @extschema@.cleanup_schedule_states SET handled_until = greatest(handled_until, $2), "
        "overlapped = overlapped + $3, unfinished = $4 WHERE schedule_id = $1",
        Parameters()
            .int8(schedule.id)
            .timestamp(to_timestamp(now))
            .int8(before < now ? ScheduleTimes(schedule).count(before, now) : 0)
            .boolean(unfinished));
}

} // namespace pgcleanup
