#pragma once

#include "core/recurrence.h"
#include "core/run_window.h"

#include <optional>

namespace pgcleanup::core {

// What is known when it is asked whether a schedule is due.
struct ScheduleState {
    Instant handled_until;   // every time of the schedule up to here was run, or counted as missed
    bool unfinished = false; // the last run was stopped by the end of its window
};
struct ScheduleContext {
    Instant now;
    Instant watched_since; // since when somebody would have run what became due
    bool catch_up = false; // times missed before that are made up, once
};

struct ScheduleDecision {
    Instant starts_at;          // the next run may start then; it is due when that is not later than now
    std::optional<Instant> due; // the time that the run stands for; nothing: it goes on with an unfinished run
    std::int64_t missed = 0;    // times that were passed over and will not be run any more
    Instant handled_until;      // what remains true when nothing is run now
};

// A time that passed less than this before somebody watched was not missed, but is late.
inline constexpr std::chrono::minutes grace{1};

// When the next run starts, and what is missed. Of several times that have passed only the last one counts, so runs
// never pile up. Outside the window a run waits until it opens. When the clock was set back by up to a day, nothing is
// run twice; when it was set back farther, the state is not believed any more.
ScheduleDecision decide(const Recurrence& times, const std::optional<RunWindow>& window, const Zone& zone,
                        const ScheduleState& state, const ScheduleContext& context);

} // namespace pgcleanup::core
