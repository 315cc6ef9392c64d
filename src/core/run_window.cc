#include "core/run_window.h"

#include <charconv>

namespace pgcleanup::core {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::minutes;

namespace {

constexpr minutes whole_day = days{1};
// A window that the clock swallows leaves two days between openings, a skipped day as many.
constexpr int days_to_look_at = 5;

std::string_view trimmed(std::string_view text)
{
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<int> number(std::string_view digits, std::size_t most_digits)
{
    int value = 0;
    if (digits.empty() || digits.size() > most_digits ||
        digits.find_first_not_of("0123456789") != std::string_view::npos)
        return std::nullopt;
    std::from_chars(digits.begin(), digits.end(), value);
    return value;
}

std::optional<minutes> time_of_day(std::string_view text)
{
    text = trimmed(text);
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || text.size() - colon != 3)
        return std::nullopt;
    const std::optional<int> hour = number(text.substr(0, colon), 2);
    const std::optional<int> minute = number(text.substr(colon + 1), 2);
    if (!hour || !minute || *minute > 59)
        return std::nullopt;
    const minutes time = std::chrono::hours{*hour} + minutes{*minute};
    return time > whole_day ? std::nullopt : std::optional<minutes>(time);
}

struct OneNight {
    Instant opens;
    Instant closes;
};

OneNight window_of(const RunWindow& window, local_days day, const Zone& zone)
{
    const minutes closes = window.closes <= window.opens ? window.closes + whole_day : window.closes;
    return {instant_of(day + window.opens, zone), instant_of(day + closes, zone)};
}

// The first window, not empty, that closes after `instant`.
OneNight window_after(const RunWindow& window, Instant instant, const Zone& zone)
{
    const local_days today = std::chrono::floor<days>(wall_time(instant, zone));
    for (int day = -2; day < days_to_look_at; ++day) {
        const OneNight night = window_of(window, today + days{day}, zone);
        if (night.opens < night.closes && instant < night.closes)
            return night;
    }
    return {instant, instant};
}

} // namespace

std::optional<RunWindow> parse_run_window(std::string_view text)
{
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos)
        return std::nullopt;
    const std::optional<minutes> opens = time_of_day(text.substr(0, dash));
    const std::optional<minutes> closes = time_of_day(text.substr(dash + 1));
    if (!opens || !closes || *opens % whole_day == *closes % whole_day)
        return std::nullopt;
    return RunWindow{*opens % whole_day, *closes};
}

Instant window_opening(const RunWindow& window, Instant from, const Zone& zone)
{
    return std::max(from, window_after(window, from, zone).opens);
}

Instant window_closing(const RunWindow& window, Instant inside, const Zone& zone)
{
    const OneNight night = window_after(window, inside, zone);
    return night.opens <= inside ? night.closes : inside;
}

} // namespace pgcleanup::core
