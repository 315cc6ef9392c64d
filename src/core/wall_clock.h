#pragma once

#include <chrono>
#include <functional>

namespace pgcleanup::core {

using Instant = std::chrono::sys_time<std::chrono::microseconds>;
// What a clock on the wall of some zone shows.
using WallTime = std::chrono::local_time<std::chrono::microseconds>;
// The offset from UTC that is in force in the zone at an instant; east is positive, at most a day.
using Zone = std::function<std::chrono::seconds(Instant)>;

WallTime wall_time(Instant instant, const Zone& zone);

// When the clock shows this time: the first of two such moments; for a time that it skips, the moment at which it jumps
// over it. So a time of each day comes exactly once, in order.
Instant instant_of(WallTime wall, const Zone& zone);

} // namespace pgcleanup::core
