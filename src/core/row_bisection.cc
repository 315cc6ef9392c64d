#include "core/row_bisection.h"

#include <algorithm>

namespace pgcleanup::core {

RowBisection::RowBisection(std::size_t rows, std::size_t max_failures)
    : max_failures_(std::max<std::size_t>(max_failures, 1))
{
    if (rows > 0) {
        stack_.push_back(Range{0, rows});
    }
}

std::optional<RowBisection::Range> RowBisection::next() const
{
    if (stack_.empty() || capped()) {
        return std::nullopt;
    }
    return stack_.back();
}

void RowBisection::succeeded()
{
    if (next()) {
        stack_.pop_back();
    }
}

void RowBisection::failed()
{
    const auto range = next();
    if (!range) {
        return;
    }
    stack_.pop_back();
    if (range->size() == 1) {
        failed_rows_.push_back(range->begin);
        return;
    }
    const std::size_t middle = range->begin + range->size() / 2;
    stack_.push_back(Range{middle, range->end});
    stack_.push_back(Range{range->begin, middle}); // on top, to keep the block order
}

std::vector<RowBisection::Range> RowBisection::remaining() const
{
    return {stack_.rbegin(), stack_.rend()};
}

} // namespace pgcleanup::core
