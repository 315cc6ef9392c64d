#include "extension/time_zone.h"

#include "pg/error.h"

namespace pgcleanup {

namespace {

constexpr std::int64_t look_around_seconds = std::int64_t{3} * SECS_PER_DAY;

// The instant of a naive timestamp as PostgreSQL reads it: the later one of two, and in a gap the later reading as
// well. May longjmp.
TimestampTz pg_instant(Timestamp naive, pg_tz* zone)
{
    pg_tm parts{};
    fsec_t fraction = 0;
    if (timestamp2tm(naive, nullptr, &parts, &fraction, nullptr, nullptr) != 0)
        ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
    return naive + DetermineTimeZoneOffset(&parts, zone) * USECS_PER_SEC;
}

// Where the order of instants and of wall-clock times may part around `instant`: what the clock shows at that instant
// under each offset in use nearby, and both faces of every change of the offset. Between two neighbours of these, both
// move alike.
std::vector<Timestamp> turning_points(TimestampTz instant, pg_tz* zone)
{
    std::vector<Timestamp> points;
    const pg_time_t middle = timestamptz_to_time_t(instant);
    pg_time_t at = middle - look_around_seconds;
    while (true) {
        long before = 0;
        long after = 0;
        int before_is_dst = 0;
        int after_is_dst = 0;
        pg_time_t change = 0;
        const int found = pg_next_dst_boundary(&at, &before, &before_is_dst, &change, &after, &after_is_dst, zone);
        points.push_back(instant + before * USECS_PER_SEC);
        if (found <= 0 || change > middle + look_around_seconds)
            return points;
        points.push_back(instant + after * USECS_PER_SEC);
        points.push_back(time_t_to_timestamptz(change) + before * USECS_PER_SEC);
        points.push_back(time_t_to_timestamptz(change) + after * USECS_PER_SEC);
        at = change;
    }
}

TimestampTz instant_of(Timestamp naive, pg_tz* zone)
{
    return pg::pg_call([&] { return pg_instant(naive, zone); });
}

// More than any zone is from UTC, and any clock was ever turned.
constexpr DateADT margin_days = 3;

// The day in UTC, rounded toward the past.
DateADT day_of(TimestampTz instant)
{
    const std::int64_t days = instant / USECS_PER_DAY;
    return static_cast<DateADT>(instant % USECS_PER_DAY < 0 ? days - 1 : days);
}

TimestampTz midnight(DateADT day, pg_tz* zone)
{
    return instant_of(day * USECS_PER_DAY, zone);
}

} // namespace

pg_tz* find_time_zone(const std::string& name)
{
    pg_tz* zone = name.empty() ? nullptr : pg::pg_call([&] { return pg_tzset(name.c_str()); });
    if (zone == nullptr || !pg_tz_acceptable(zone))
        pg::raise({.sqlstate = ERRCODE_INVALID_PARAMETER_VALUE,
                   .message = pg::concat("time zone \"", name, "\" is not known"),
                   .hint = "SELECT name FROM pg_timezone_names lists those that are."});
    return zone;
}

NaiveRange naive_range(std::optional<TimestampTz> from, TimestampTz before, pg_tz* zone)
{
    std::vector<Timestamp> points = turning_points(before, zone);
    if (from) {
        const std::vector<Timestamp> more = turning_points(*from, zone);
        points.insert(points.end(), more.begin(), more.end());
    }
    std::sort(points.begin(), points.end());
    const auto belongs = [&](Timestamp point) {
        const TimestampTz instant = instant_of(point, zone);
        return instant < before && (!from || instant >= *from);
    };
    // From each point to the next all belong, or none; below the first all do if nothing bounds them, above the last
    // none.
    NaiveRange range;
    bool inside = !from.has_value();
    bool found = inside; // something that belongs, so far
    for (const Timestamp point : points) {
        const bool was_inside = std::exchange(inside, belongs(point));
        if (was_inside && !inside)
            range.upper = point;
        if (!was_inside && inside) {
            if (found)
                range.holes.emplace_back(range.upper, point);
            else
                range.lower = point;
            found = true;
        }
    }
    return range;
}

DateADT date_upper_bound(TimestampTz cutoff, pg_tz* zone)
{
    // A day is past when the midnight that ends it is at or before the cutoff.
    DateADT day = day_of(cutoff) + margin_days;
    while (midnight(day, zone) > cutoff)
        --day;
    return day;
}

DateADT date_lower_bound(TimestampTz from, pg_tz* zone)
{
    DateADT day = day_of(from) - margin_days;
    while (midnight(day, zone) < from)
        ++day;
    return day;
}

} // namespace pgcleanup
