#include "extension/run_limits.h"

namespace pgcleanup {

void check_limits(const RunContext& context, const RunLimits& limits)
{
    pg::check_for_interrupts();
    if (pg_atomic_read_u32(const_cast<pg_atomic_uint32*>(&context.channel.cancel_requested)) != 0)
        throw RunStopped{"cancelled", "cancelled by request"};
    if (pg_atomic_read_u32(const_cast<pg_atomic_uint32*>(&context.channel.window_closed)) != 0)
        throw RunStopped{"partial", window_closed_message};
    if (limits.rows_left && *limits.rows_left <= 0)
        throw RunStopped{"partial", "stopped at max_rows"};
    if (limits.stop_at && pg::elapsed_clock() >= *limits.stop_at)
        throw RunStopped{"partial", "stopped at max_duration"};
}

} // namespace pgcleanup
