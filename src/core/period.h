#pragma once

#include <cstdint>

namespace pgcleanup::core {

// The three parts of a PostgreSQL interval, which are kept apart because months and days differ in length.
struct Period {
    std::int32_t months = 0;
    std::int32_t days = 0;
    std::int64_t microseconds = 0;
};

enum class RetainCheck {
    ok,
    mixed_signs, // '1 month -40 days': longer or shorter than nothing, depending on the day it is used
    negative,    // the cutoff would be in the future
    too_short,   // not zero, but less than an hour: most likely '30' without a unit, which is 30 seconds
    too_long,    // more than a thousand years, which includes PostgreSQL 17's infinity
};

// Whether a policy may use this period as its `retain`. Zero is ok: columns that say when a row expires.
// Lengths are compared with the average month and days of 24 hours.
RetainCheck check_retain(const Period& retain);

} // namespace pgcleanup::core
