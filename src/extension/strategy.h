// How a run reaches the eligible rows of a leaf table.
#pragma once

#include "extension/eligibility.h"
#include "extension/row_ids.h"

namespace pgcleanup {

enum class Strategy {
    block, // walk the heap in block order: much is eligible, or no index helps
    index, // collect row ids through an index on the age in bounded chunks, and delete them in block order
};

const char* strategy_name(Strategy strategy);

// By the planner's costs for the run's own values. Inside an OwnerTransaction. `allow_index` false: always block.
Strategy choose_strategy(const Eligibility& eligibility, Oid leaf);

// "block", "index", or "block, index" for a target whose partitions differ.
std::string strategy_of_target(const Eligibility& eligibility, std::span<const Oid> leaves);

// Eligible row ids of `leaf` in the order of the age, a bounded chunk of whole tie groups at a time.
class IndexChunks {
public:
    IndexChunks(const Eligibility& eligibility, Oid leaf);
    // The next chunk in block order; empty when none is left. Nothing when a tie group is too large for a chunk, or the
    // planner no longer uses an index: the caller walks blocks instead.
    std::optional<RowIds> next();

private:
    const Eligibility& eligibility_;
    std::string name_;
    bool started_ = false;
    std::array<char, 16> last_bytes_{};
    Datum last_key_ = 0;
};

} // namespace pgcleanup
