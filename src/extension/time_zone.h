// Naive timestamps: wall-clock times of a zone, which daylight saving shows twice or never.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// Raises invalid_parameter_value for a name that the server does not know. The result lives as long as the process.
pg_tz* find_time_zone(const std::string& name);

// The naive timestamps that stand for an instant from `from` (nothing: the beginning of time) to before another. A time
// that the clock shows twice counts as the second, which keeps its rows longer; one that it skips counts as PostgreSQL
// reads it, with the offset before the change. Because of the latter the range may have holes: skipped times that count
// as later than the times that follow them.
struct NaiveRange {
    Timestamp lower = DT_NOBEGIN; // inclusive, if there is a `from`
    Timestamp upper = DT_NOBEGIN; // exclusive
    std::vector<std::pair<Timestamp, Timestamp>> holes;
};
NaiveRange naive_range(std::optional<TimestampTz> from, TimestampTz before, pg_tz* zone);

// The first day that is not wholly past at `cutoff` in the zone: the bound for dates.
DateADT date_upper_bound(TimestampTz cutoff, pg_tz* zone);
// The first day that begins at or after `from`.
DateADT date_lower_bound(TimestampTz from, pg_tz* zone);

} // namespace pgcleanup
