#include "core/cron_expression.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <span>
#include <string>
#include <vector>

namespace pgcleanup::core {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::local_days;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr std::array<std::string_view, 12> month_names = {"jan", "feb", "mar", "apr", "may", "jun",
                                                          "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> weekday_names = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::chrono::years horizon{10};

struct Macro {
    std::string_view name;
    std::string_view fields;
};
constexpr std::array<Macro, 7> macros = {{{"@yearly", "0 0 1 1 *"},
                                          {"@annually", "0 0 1 1 *"},
                                          {"@monthly", "0 0 1 * *"},
                                          {"@weekly", "0 0 * * 0"},
                                          {"@daily", "0 0 * * *"},
                                          {"@midnight", "0 0 * * *"},
                                          {"@hourly", "0 * * * *"}}};

std::vector<std::string_view> split(std::string_view text, std::string_view separators)
{
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t end = text.find_first_of(separators);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos)
            return parts;
        text.remove_prefix(end + 1);
    }
}

std::string lower(std::string_view text)
{
    std::string copy(text);
    std::ranges::transform(copy, copy.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return copy;
}

std::optional<int> number(std::string_view text)
{
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || text.front() == '-')
        return std::nullopt;
    return value;
}

// What a field may hold.
struct FieldKind {
    int lowest;
    int highest;
    std::span<const std::string_view> names; // of lowest, lowest + 1 ...
};

std::optional<int> value_of(std::string_view text, const FieldKind& kind)
{
    const auto name = std::ranges::find(kind.names, lower(text));
    if (name != kind.names.end())
        return kind.lowest + static_cast<int>(name - kind.names.begin());
    const std::optional<int> value = number(text);
    return value && *value >= kind.lowest && *value <= kind.highest ? value : std::nullopt;
}

// One element of a list: '*', '5', '1-5', each of the ranges also with a step.
template <std::size_t size>
bool set_element(std::bitset<size>& field, std::string_view text, const FieldKind& kind)
{
    const std::vector<std::string_view> with_step = split(text, "/");
    const std::vector<std::string_view> ends = split(with_step[0], "-");
    const bool is_range = ends.size() == 2 || with_step[0] == "*";
    const std::optional<int> step = with_step.size() == 2 ? number(with_step[1]) : std::optional<int>(1);
    if (with_step.size() > 2 || ends.size() > 2 || !step || *step < 1 || (with_step.size() == 2 && !is_range))
        return false;
    std::optional<int> first = kind.lowest;
    std::optional<int> last = kind.highest;
    if (with_step[0] != "*") {
        first = value_of(ends.front(), kind);
        last = value_of(ends.back(), kind);
    }
    if (!first || !last || *first > *last)
        return false;
    for (int value = *first; value <= *last; value += *step)
        field.set(static_cast<std::size_t>(value));
    return true;
}

template <std::size_t size>
bool set_field(std::bitset<size>& field, std::string_view text, const FieldKind& kind)
{
    return std::ranges::all_of(split(text, ","),
                               [&](std::string_view element) { return set_element(field, element, kind); });
}

std::vector<std::string_view> words(std::string_view text)
{
    std::vector<std::string_view> parts = split(text, " \t");
    std::erase(parts, std::string_view());
    return parts;
}

std::optional<seconds> parse_seconds(const std::vector<std::string_view>& parts)
{
    if (parts.size() != 2 || (lower(parts[1]) != "seconds" && lower(parts[1]) != "second"))
        return std::nullopt;
    const std::optional<int> count = number(parts[0]);
    return count && *count >= 1 && *count <= 59 ? std::optional<seconds>(*count) : std::nullopt;
}

} // namespace

std::optional<CronExpression> CronExpression::parse(std::string_view text)
{
    const std::vector<std::string_view> parts = words(text);
    if (const std::optional<seconds> period = parse_seconds(parts)) {
        CronExpression expression;
        expression.period_ = *period;
        return expression;
    }
    if (parts.size() != 1)
        return parse_fields(text);
    const auto* const macro = std::ranges::find(macros, lower(parts[0]), &Macro::name);
    return macro == macros.end() ? std::nullopt : parse_fields(macro->fields);
}

std::optional<CronExpression> CronExpression::parse_fields(std::string_view text)
{
    const std::vector<std::string_view> fields = words(text);
    if (fields.size() != 5)
        return std::nullopt;
    CronExpression expression;
    expression.last_day_ = fields[2] == "$";
    const bool is_valid = set_field(expression.minutes_, fields[0], {0, 59, {}}) &&
                          set_field(expression.hours_, fields[1], {0, 23, {}}) &&
                          (expression.last_day_ || set_field(expression.days_, fields[2], {1, 31, {}})) &&
                          set_field(expression.months_, fields[3], {1, 12, month_names}) &&
                          set_field(expression.weekdays_, fields[4], {0, 7, weekday_names});
    if (!is_valid)
        return std::nullopt;
    if (expression.weekdays_[7])
        expression.weekdays_.set(0);
    expression.both_days_ = fields[2].front() == '*' || fields[4].front() == '*';
    return expression;
}

bool CronExpression::fits_day(local_days day) const
{
    const std::chrono::year_month_day date{day};
    if (!months_[static_cast<unsigned>(date.month())])
        return false;
    const bool is_last = date == std::chrono::year_month_day{date.year() / date.month() / std::chrono::last};
    const bool fits_date = last_day_ ? is_last : days_[static_cast<unsigned>(date.day())];
    const bool fits_weekday = weekdays_[std::chrono::weekday{day}.c_encoding()];
    return both_days_ ? fits_date && fits_weekday : fits_date || fits_weekday;
}

std::optional<Instant> CronExpression::next_after(Instant after, const Zone& zone) const
{
    if (period_ > seconds{0})
        return after + period_;
    Instant moment = floor<minutes>(after) + minutes{1};
    while (moment < after + horizon) {
        const WallTime wall = wall_time(moment, zone);
        const local_days day = floor<days>(wall);
        if (!fits_day(day)) {
            moment = instant_of(day + days{1}, zone);
            continue;
        }
        const auto hour = floor<hours>(wall - day);
        const auto minute = floor<minutes>(wall - day) - hour;
        const bool fits_hour = hours_[static_cast<std::size_t>(hour.count())];
        if (fits_hour && minutes_[static_cast<std::size_t>(minute.count())])
            return moment;
        moment += fits_hour ? minutes{1} : minutes{60} - minute;
    }
    return std::nullopt;
}

} // namespace pgcleanup::core
