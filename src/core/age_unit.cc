#include "core/age_unit.h"

#include <limits>

namespace pgcleanup::core {

namespace {

constexpr std::int64_t microseconds_per_second = 1'000'000;
constexpr std::int64_t microseconds_per_millisecond = 1'000;
constexpr std::int64_t nanoseconds_per_microsecond = 1'000;
constexpr std::int64_t start_of_1990 = 631'152'000 * microseconds_per_second;

// `divisor` is positive.
std::int64_t floor_divide(std::int64_t value, std::int64_t divisor)
{
    const std::int64_t quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

// `factor` is positive.
std::optional<std::int64_t> multiply(std::int64_t value, std::int64_t factor)
{
    using Limits = std::numeric_limits<std::int64_t>;
    if (value > Limits::max() / factor || value < Limits::min() / factor) {
        return std::nullopt;
    }
    return value * factor;
}

std::int64_t nearest_limit(std::int64_t value)
{
    using Limits = std::numeric_limits<std::int64_t>;
    return value < 0 ? Limits::min() : Limits::max();
}

} // namespace

std::optional<AgeUnit> parse_age_unit(std::string_view text)
{
    if (text == "s") {
        return AgeUnit::s;
    }
    if (text == "ms") {
        return AgeUnit::ms;
    }
    if (text == "us") {
        return AgeUnit::us;
    }
    if (text == "ns") {
        return AgeUnit::ns;
    }
    return std::nullopt;
}

std::int64_t to_unit(std::int64_t unix_microseconds, AgeUnit unit)
{
    switch (unit) {
    case AgeUnit::s:
        return floor_divide(unix_microseconds, microseconds_per_second);
    case AgeUnit::ms:
        return floor_divide(unix_microseconds, microseconds_per_millisecond);
    case AgeUnit::ns:
        return multiply(unix_microseconds, nanoseconds_per_microsecond).value_or(nearest_limit(unix_microseconds));
    case AgeUnit::us:
        break;
    }
    return unix_microseconds;
}

std::optional<std::int64_t> from_unit(std::int64_t value, AgeUnit unit)
{
    switch (unit) {
    case AgeUnit::s:
        return multiply(value, microseconds_per_second);
    case AgeUnit::ms:
        return multiply(value, microseconds_per_millisecond);
    case AgeUnit::ns:
        return floor_divide(value, nanoseconds_per_microsecond);
    case AgeUnit::us:
        break;
    }
    return value;
}

bool plausible_newest(std::int64_t value, AgeUnit unit)
{
    return from_unit(value, unit).value_or(nearest_limit(value)) >= start_of_1990;
}

} // namespace pgcleanup::core
