#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace pgcleanup::core {

// In the order in which they are written, which is also the order in which PostgreSQL compares them.
using Uuid = std::array<std::uint8_t, 16>;

// The lowest version-7 uuid (RFC 9562) of a millisecond: its time, version 7, variant 10, all other bits zero.
// Every version-7 uuid made earlier sorts below it, and none made then or later does.
// Times that 48 bits cannot hold become the nearest that they can (1970, or the year 10889).
Uuid uuid7_lower_bound(std::int64_t unix_milliseconds);

// The same in PostgreSQL's notation: 36 characters, lower case.
std::string uuid7_lower_bound_text(std::int64_t unix_milliseconds);

// The Unix millisecond in a version-7 uuid; nothing for any other version or variant.
std::optional<std::int64_t> uuid7_time(const Uuid& uuid);

} // namespace pgcleanup::core
