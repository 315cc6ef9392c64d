#include "core/period.h"

#include <chrono>

namespace pgcleanup::core {

namespace {

using std::chrono::microseconds;

constexpr microseconds shortest = std::chrono::hours{1};
constexpr microseconds longest = std::chrono::years{1000};

bool exceeds_in_one_part(const Period& retain)
{
    // Each part alone, before they are added: that bounds the sum far inside int64.
    return retain.months > longest / std::chrono::months{1} || retain.days > longest / std::chrono::days{1} ||
           retain.microseconds > longest.count();
}

microseconds length(const Period& retain)
{
    return std::chrono::months{retain.months} + std::chrono::days{retain.days} + microseconds{retain.microseconds};
}

} // namespace

RetainCheck check_retain(const Period& retain)
{
    const bool any_negative = retain.months < 0 || retain.days < 0 || retain.microseconds < 0;
    const bool any_positive = retain.months > 0 || retain.days > 0 || retain.microseconds > 0;
    if (any_negative) {
        return any_positive ? RetainCheck::mixed_signs : RetainCheck::negative;
    }
    if (!any_positive) {
        return RetainCheck::ok;
    }
    if (exceeds_in_one_part(retain) || length(retain) > longest) {
        return RetainCheck::too_long;
    }
    return length(retain) < shortest ? RetainCheck::too_short : RetainCheck::ok;
}

} // namespace pgcleanup::core
