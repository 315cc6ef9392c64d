// Bounds of a whole run of a policy, shared by its leaf tables.
#pragma once

#include "extension/batch.h"

namespace pgcleanup {

struct RunLimits {
    std::optional<std::int64_t> rows_left;            // max_rows
    std::optional<std::chrono::microseconds> stop_at; // max_duration, on the steady clock
    std::int32_t failing_rows_left = 0;               // pg_cleanup.max_failing_rows
};

// Throws RunStopped when a bound is reached, a cancel was asked for, or the window has closed; answers interrupts.
void check_limits(const RunContext& context, const RunLimits& limits);

} // namespace pgcleanup
