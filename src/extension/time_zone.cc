#include "extension/time_zone.h"

#include "pg/error.h"

namespace pgcleanup {

namespace {

constexpr std::int64_t look_around_seconds = 3 * SECS_PER_DAY;

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

std::int64_t floor_days(Timestamp naive)
{
    const std::int64_t days = naive / USECS_PER_DAY;
    return naive % USECS_PER_DAY < 0 ? days - 1 : days;
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

Timestamp naive_upper_bound(TimestampTz cutoff, pg_tz* zone)
{
    std::optional<Timestamp> bound;
    for (const Timestamp point : turning_points(cutoff, zone)) {
        const bool is_young = pg::pg_call([&] { return pg_instant(point, zone); }) >= cutoff;
        if (is_young && (!bound || point < *bound))
            bound = point;
    }
    return bound.value();
}

Timestamp naive_lower_bound(TimestampTz from, pg_tz* zone)
{
    std::optional<Timestamp> bound;
    for (const Timestamp point : turning_points(from, zone)) {
        const bool below_is_old = pg::pg_call([&] { return pg_instant(point - 1, zone); }) < from;
        if (below_is_old && (!bound || point > *bound))
            bound = point;
    }
    return bound.value();
}

DateADT date_upper_bound(TimestampTz cutoff, pg_tz* zone)
{
    // A day is past when the midnight that ends it is at or before the cutoff.
    return static_cast<DateADT>(floor_days(naive_upper_bound(cutoff + 1, zone) - 1));
}

DateADT date_lower_bound(TimestampTz from, pg_tz* zone)
{
    return static_cast<DateADT>(floor_days(naive_lower_bound(from, zone) - 1) + 1);
}

} // namespace pgcleanup
