// Naive timestamps: wall-clock times of a zone, which daylight saving shows twice or never.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// Raises invalid_parameter_value for a name that the server does not know. The result lives as long as the process.
pg_tz* find_time_zone(const std::string& name);

// The largest bound such that every naive timestamp below it stands, in every reading, for an instant before `cutoff`.
// An hour that the clock shows twice counts as the second time, which keeps its rows longer; one that it skips counts
// as PostgreSQL reads it, with the offset before the change.
Timestamp naive_upper_bound(TimestampTz cutoff, pg_tz* zone);
// The smallest bound such that every naive timestamp from it on stands for an instant at or after `from`, read
// likewise.
Timestamp naive_lower_bound(TimestampTz from, pg_tz* zone);

// The first day that is not wholly past at `cutoff` in the zone: the bound for dates.
DateADT date_upper_bound(TimestampTz cutoff, pg_tz* zone);
// The first day that begins at or after `from`.
DateADT date_lower_bound(TimestampTz from, pg_tz* zone);

} // namespace pgcleanup
