#pragma once

#include <chrono>
#include <optional>

namespace pgcleanup::core {

// How long to wait before each further attempt: `first`, then twice as long each time, up to `maximum`.
//
// Knows no clock and no chance: the caller waits, and adds jitter where many could wake together.
// A first or maximum delay below a millisecond becomes one, a first delay above the maximum becomes the maximum, and a
// negative limit means no attempt.
class Backoff {
public:
    Backoff(std::chrono::milliseconds first, std::chrono::milliseconds maximum, int limit_of_attempts);

    // The delay before the next attempt; nothing once `limit_of_attempts` delays were given out.
    std::optional<std::chrono::milliseconds> next();

    // Starts again from the first delay, with all attempts: call it after a success.
    void reset();

private:
    std::chrono::milliseconds maximum_;
    std::chrono::milliseconds first_;
    std::chrono::milliseconds delay_;
    int limit_;
    int used_ = 0;
};

} // namespace pgcleanup::core
