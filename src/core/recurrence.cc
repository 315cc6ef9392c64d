#include "core/recurrence.h"

#include <algorithm>

namespace pgcleanup::core {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::local_days;
using std::chrono::microseconds;
using std::chrono::months;

namespace {

constexpr microseconds shortest = std::chrono::minutes{1};
constexpr microseconds longest = std::chrono::years{10};
// Days before which nothing was due, far enough from the ends of the calendar.
constexpr std::int64_t beginning_of_days = -1'000'000;

microseconds average_length(const Period& period)
{
    return months{period.months} + days{period.days} + microseconds{period.microseconds};
}

WallTime add_months(WallTime from, std::int64_t count)
{
    const auto day = floor<days>(from);
    const std::chrono::year_month_day date{day};
    const auto month = std::chrono::year_month{date.year(), date.month()} + months{static_cast<int>(count)};
    std::chrono::year_month_day moved = month / date.day();
    if (!moved.ok())
        moved = month / std::chrono::last;
    return local_days{moved} + (from - day);
}

} // namespace

std::int64_t Recurrence::latest_index(Instant until) const
{
    std::int64_t n = std::max(estimate(until), origin());
    while (n > origin() && time(n) > until)
        --n;
    while (time(n + 1) <= until)
        ++n;
    return n;
}

std::int64_t Recurrence::count(Instant after, Instant until) const
{
    return std::max<std::int64_t>(latest_index(until) - latest_index(after), 0);
}

Instant Daily::time(std::int64_t day) const
{
    return instant_of(local_days{days{static_cast<int>(day)}} + time_of_day_, zone_);
}

std::int64_t Daily::estimate(Instant instant) const
{
    return floor<days>(wall_time(instant, zone_)).time_since_epoch().count();
}

std::int64_t Daily::origin() const
{
    return beginning_of_days;
}

Instant Every::time(std::int64_t n) const
{
    const microseconds passing{period_.microseconds * n};
    if (period_.months == 0 && period_.days == 0)
        return anchor_ + passing;
    const WallTime wall = add_months(wall_time(anchor_, zone_), period_.months * n) + days{period_.days * n};
    return instant_of(wall, zone_) + passing;
}

std::int64_t Every::estimate(Instant instant) const
{
    return (instant - anchor_) / average_length(period_);
}

EveryCheck check_every(const Period& period)
{
    if (period.months < 0 || period.days < 0 || period.microseconds < 0)
        return EveryCheck::negative;
    // Each part alone, before they are added: that bounds the sum.
    if (period.months > longest / months{1} || period.days > longest / days{1} ||
        period.microseconds > longest.count() || average_length(period) > longest)
        return EveryCheck::too_long;
    return average_length(period) < shortest ? EveryCheck::too_short : EveryCheck::ok;
}

} // namespace pgcleanup::core
