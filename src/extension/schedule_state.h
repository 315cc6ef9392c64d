// What became of schedules: cleanup_schedule_states. All of these write as the extension's owner, in the current
// transaction.
#pragma once

#include "extension/schedule.h"

namespace pgcleanup {

// The schedule begins now.
void begin_schedule(pg::Spi& spi, const pg::Extension& extension, std::int64_t schedule_id);
// The policy is disabled: what comes due until it is enabled again is not missed.
void suspend(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule);
// Counts what the decision found to be missed, without a run. Does nothing when somebody else was faster.
void pass_over(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule,
               const core::ScheduleDecision& decision);
// The run with this id is what was decided.
void begin_run(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule,
               const core::ScheduleDecision& decision, std::int64_t run_id);
// A time came while the run before still works.
void count_overlap(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule);
// The run of the schedule is over: what came due meanwhile is counted, and never run.
void end_run(pg::Spi& spi, const pg::Extension& extension, const Schedule& schedule, bool unfinished);

} // namespace pgcleanup
