#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace pgcleanup::core {

// In which order archived rows can come back: what a row references comes before it, rows that reference each other in
// a circle come together.
//
// Rows are numbered [0, rows). An edge (row, other) says that `row` needs `other`, i.e. references it. Each group holds
// rows that must be inserted by one statement; every row that a group needs is in the group or in an earlier one.
// Within the order that follows from that, rows keep the order of their numbers. Takes linear time, and no recursion.
std::vector<std::vector<std::size_t>> restore_order(std::size_t rows,
                                                    const std::vector<std::pair<std::size_t, std::size_t>>& needs);

} // namespace pgcleanup::core
