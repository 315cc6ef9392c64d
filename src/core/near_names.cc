#include "core/near_names.h"

#include <algorithm>
#include <utility>

namespace pgcleanup::core {

namespace {

constexpr std::size_t characters_per_error = 3;
constexpr std::size_t most_errors = 4;

std::size_t errors_allowed(std::string_view wanted)
{
    return std::min((wanted.size() + characters_per_error / 2) / characters_per_error, most_errors);
}

std::string folded(std::string_view text)
{
    std::string result(text);
    for (char& one : result) {
        if (one >= 'A' && one <= 'Z') {
            one = static_cast<char>(one - 'A' + 'a');
        }
    }
    return result;
}

std::size_t length_difference(std::string_view left, std::string_view right)
{
    return std::max(left.size(), right.size()) - std::min(left.size(), right.size());
}

// Damerau-Levenshtein distance where no piece is edited twice (optimal string alignment), kept in three rows:
// row[j] is the distance between the first i characters of `left` and the first j of `right`.
std::size_t distance(std::string_view left, std::string_view right)
{
    std::vector<std::size_t> before_last(right.size() + 1);
    std::vector<std::size_t> last(right.size() + 1);
    std::vector<std::size_t> row(right.size() + 1);
    for (std::size_t j = 0; j <= right.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 1; i <= left.size(); ++i) {
        std::swap(before_last, last);
        std::swap(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= right.size(); ++j) {
            const std::size_t changed = last[j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
            row[j] = std::min({changed, last[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
    }
    return row[right.size()];
}

} // namespace

std::vector<std::string> near_names(std::string_view wanted, std::span<const std::string> known, std::size_t max)
{
    const std::size_t limit = errors_allowed(wanted);
    const std::string wanted_folded = folded(wanted);
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const std::string& name : known) {
        if (length_difference(wanted, name) > limit) {
            continue; // the distance is at least this; also keeps a huge name from costing anything
        }
        const std::size_t errors = distance(wanted_folded, folded(name));
        if (errors <= limit) {
            near.emplace_back(errors, name);
        }
    }
    std::sort(near.begin(), near.end());
    near.resize(std::min(near.size(), max));
    std::vector<std::string> names;
    names.reserve(near.size());
    for (auto& [errors, name] : near) {
        names.push_back(std::move(name));
    }
    return names;
}

} // namespace pgcleanup::core
