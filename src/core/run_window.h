#pragma once

#include "core/wall_clock.h"

#include <optional>
#include <string_view>

namespace pgcleanup::core {

// The hours in which scheduled runs may work, each day, by a wall clock: from `opens` to before `closes`, across
// midnight when it closes at or before it opens. Each bound takes the first of two moments that show its time, and the
// moment of the jump for a time that the clock skips; so no window is open twice in a night.
struct RunWindow {
    std::chrono::minutes opens{};
    std::chrono::minutes closes{};
    bool operator==(const RunWindow&) const = default;
};

// '22:00-06:00': hours and minutes, from 00:00 to 24:00, with any blanks around the parts. Nothing for anything else,
// and for two times that are the same.
std::optional<RunWindow> parse_run_window(std::string_view text);

// `from` when it is inside the window, else the next moment at which it opens.
Instant window_opening(const RunWindow& window, Instant from, const Zone& zone);
// When the window that `inside` lies in closes; `inside` itself when it lies in none.
Instant window_closing(const RunWindow& window, Instant inside, const Zone& zone);

} // namespace pgcleanup::core
