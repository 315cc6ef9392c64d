// Time zones for tests, made of offsets: what core needs to know of one.
#pragma once

#include "core/wall_clock.h"

namespace pgcleanup::core {

using namespace std::chrono_literals;

// 2026-03-29 01:00 UTC: the clocks of Berlin go from 02:00 to 03:00; 2026-10-25 01:00 UTC: from 03:00 back to 02:00.
inline std::chrono::seconds berlin(Instant instant)
{
    using namespace std::chrono;
    const Instant spring = sys_days{2026y / 3 / 29} + 1h;
    const Instant autumn = sys_days{2026y / 10 / 25} + 1h;
    return instant >= spring && instant < autumn ? 2h : 1h;
}

// Samoa left out the whole of 2011-12-30: it went from UTC-10 to UTC+14.
inline std::chrono::seconds samoa(Instant instant)
{
    using namespace std::chrono;
    return instant >= Instant{sys_days{2011y / 12 / 30} + 10h} ? 14h : -10h;
}

inline std::chrono::seconds utc(Instant /*instant*/)
{
    return 0s;
}

// Date and time of day, in UTC and on a wall.
inline Instant at(std::chrono::year_month_day date, std::chrono::microseconds time)
{
    return std::chrono::sys_days{date} + time;
}
inline WallTime wall(std::chrono::year_month_day date, std::chrono::microseconds time)
{
    return std::chrono::local_days{date} + time;
}

} // namespace pgcleanup::core
