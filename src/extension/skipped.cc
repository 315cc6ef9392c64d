#include "extension/skipped.h"

#include "extension/row_ids.h"

namespace pgcleanup {

namespace {

constexpr std::size_t most_samples = 5;
constexpr std::size_t most_reasons = 50;

} // namespace

void SkippedReasons::add(const std::string& reason, std::int64_t rows, std::span<const std::string> samples)
{
    if (rows <= 0)
        return;
    // An error message may name the row, and so make a reason for each: beyond the cap they count together.
    const bool is_known = by_reason_.contains(reason) || by_reason_.size() < most_reasons;
    SkippedRows& group = by_reason_[is_known ? reason : "other reasons"];
    group.reason = is_known ? reason : "other reasons";
    group.rows += rows;
    for (const std::string& sample : samples) {
        if (group.samples.size() < most_samples)
            group.samples.push_back(sample);
    }
}

std::vector<SkippedRows> SkippedReasons::list() const
{
    std::vector<SkippedRows> groups;
    for (const auto& [reason, group] : by_reason_)
        groups.push_back(group);
    return groups;
}

std::int64_t SkippedReasons::total() const
{
    std::int64_t rows = 0;
    for (const auto& [reason, group] : by_reason_)
        rows += group.rows;
    return rows;
}

bool RowIdLess::operator()(const ItemPointerData& left, const ItemPointerData& right) const noexcept
{
    return row_id_less(left, right);
}

} // namespace pgcleanup
