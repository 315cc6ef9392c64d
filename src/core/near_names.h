#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgcleanup::core {

// The known names that a user most likely meant by `wanted`, best first, at most `max` of them.
//
// Near means few typing errors: a character missing, added, changed, or swapped with its neighbour, ASCII case aside.
// One error is allowed for every three characters of `wanted`, rounded, and at most four, so that a short name does not
// bring up everything. Equally near names come in the order of their bytes. Characters are bytes: a changed non-ASCII
// letter may count as two errors.
std::vector<std::string> near_names(std::string_view wanted, std::span<const std::string> known, std::size_t max = 3);

} // namespace pgcleanup::core
