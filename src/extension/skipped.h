// Rows that stay although they are due: what is known of them while a run goes on, and what is reported in the end.
#pragma once

#include "core/block_ranges.h"
#include "extension/run_record.h"

#include <map>
#include <set>

namespace pgcleanup {

// By reason; the reasons are few, the samples capped, so memory is bounded.
class SkippedReasons {
public:
    void add(const std::string& reason, std::int64_t rows, std::span<const std::string> samples);
    std::vector<SkippedRows> list() const;
    std::int64_t total() const;

private:
    std::map<std::string, SkippedRows> by_reason_;
};

// Orders row ids as the heap does.
struct RowIdLess {
    bool operator()(const ItemPointerData& left, const ItemPointerData& right) const noexcept;
};

// What one leaf table's walk leaves for the end.
struct LeafLeftovers {
    core::BlockRanges again{4096};               // blocks where a row stayed behind: tried once more
    std::set<ItemPointerData, RowIdLess> failed; // rows whose deletion raises an error: tried once more
};

} // namespace pgcleanup
