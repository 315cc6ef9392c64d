#include "core/backoff.h"

#include <algorithm>

namespace pgcleanup::core {

using std::chrono::milliseconds;

Backoff::Backoff(milliseconds first, milliseconds maximum, int limit_of_attempts)
    : maximum_(std::max(maximum, milliseconds{1})), first_(std::clamp(first, milliseconds{1}, maximum_)),
      delay_(first_), limit_(limit_of_attempts)
{
}

std::optional<milliseconds> Backoff::next()
{
    if (used_ >= limit_) {
        return std::nullopt;
    }
    ++used_;
    const milliseconds current = delay_;
    // Halving the maximum, not doubling the delay, is what cannot overflow.
    delay_ = delay_ > maximum_ / 2 ? maximum_ : delay_ * 2;
    return current;
}

void Backoff::reset()
{
    delay_ = first_;
    used_ = 0;
}

} // namespace pgcleanup::core
