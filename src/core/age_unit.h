#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pgcleanup::core {

// What an integer age column counts since 1970-01-01 UTC: seconds, milliseconds, microseconds or nanoseconds.
enum class AgeUnit { s, ms, us, ns };

// Reads exactly 's', 'ms', 'us' or 'ns'.
std::optional<AgeUnit> parse_age_unit(std::string_view text);

// A time in the column's unit, rounded toward the past, so that a cutoff made of it never takes a younger row.
// Times that the unit cannot hold become the nearest value that it can.
std::int64_t to_unit(std::int64_t unix_microseconds, AgeUnit unit);

// The time that a column's value stands for, rounded toward the past; nothing when microseconds cannot hold it.
std::optional<std::int64_t> from_unit(std::int64_t value, AgeUnit unit);

// False when the newest row of a table would be from before 1990 (UTC): then the unit is most likely too fine
// (seconds read as milliseconds end in January 1970), and every row would look old enough to go.
// Too coarse a unit puts rows into the future, where none is eligible, so that is not refused here.
bool plausible_newest(std::int64_t value, AgeUnit unit);

} // namespace pgcleanup::core
