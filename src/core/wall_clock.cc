#include "core/wall_clock.h"

#include <algorithm>
#include <array>

namespace pgcleanup::core {

using std::chrono::microseconds;
using std::chrono::seconds;

namespace {

// Farther from any change of the clock than the change itself, and nearer than the next one.
constexpr std::chrono::hours nearby{30};

Instant as_utc(WallTime wall, seconds offset)
{
    return Instant{wall.time_since_epoch() - offset};
}

// The first instant in (early, late] at which the clock shows `wall` or later.
Instant jump_over(WallTime wall, Instant early, Instant late, const Zone& zone)
{
    while (late - early > microseconds{1}) {
        const Instant middle = early + (late - early) / 2;
        (wall_time(middle, zone) >= wall ? late : early) = middle;
    }
    return late;
}

} // namespace

WallTime wall_time(Instant instant, const Zone& zone)
{
    return WallTime{instant.time_since_epoch() + zone(instant)};
}

Instant instant_of(WallTime wall, const Zone& zone)
{
    const Instant about = as_utc(wall, seconds{0});
    const std::array<seconds, 2> offsets = {zone(about - nearby), zone(about + nearby)};
    // The larger offset gives the earlier instant.
    const auto [smaller, larger] = std::minmax(offsets[0], offsets[1]);
    for (const seconds offset : {larger, smaller}) {
        const Instant candidate = as_utc(wall, offset);
        if (zone(candidate) == offset)
            return candidate;
    }
    return jump_over(wall, as_utc(wall, larger) - std::chrono::hours{1}, as_utc(wall, smaller) + std::chrono::hours{1},
                     zone);
}

} // namespace pgcleanup::core
