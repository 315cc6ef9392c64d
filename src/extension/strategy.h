// How a run reaches the eligible rows of a leaf table.
#pragma once

#include "extension/eligibility.h"
#include "extension/row_ids.h"

namespace pgcleanup {

enum class Strategy {
    block, // walk the heap in block order: much is eligible, or no index helps
    index, // collect row ids through an index on the age in bounded chunks, and delete them in block order
};

// How one leaf table is worked on, and how much work that is: blocks to visit, or rows that the planner expects.
struct LeafPlan {
    Oid leaf = InvalidOid;
    Strategy strategy = Strategy::block;
    std::int64_t units = 0;
};

// By the planner's costs for the run's own values. Inside an OwnerTransaction.
LeafPlan plan_leaf(const Eligibility& eligibility, Oid leaf);
inline Strategy choose_strategy(const Eligibility& eligibility, Oid leaf)
{
    return plan_leaf(eligibility, leaf).strategy;
}
std::vector<LeafPlan> plan_leaves(const Eligibility& eligibility, std::span<const Oid> leaves);

// "partition" (some go as a whole), "block", "index", or several of them for a target whose partitions differ.
std::string strategy_name(bool partitions, std::span<const LeafPlan> plans);

// Eligible row ids of `leaf` in the order of the age, a bounded chunk of whole tie groups at a time.
class IndexChunks {
public:
    IndexChunks(const Eligibility& eligibility, Oid leaf);
    // Inside an OwnerTransaction. The next chunk in block order; empty when none is left. Nothing when a tie group is
    // too large for a chunk, or the planner no longer uses an index: the caller walks blocks instead.
    std::optional<RowIds> next();

private:
    const Eligibility& eligibility_;
    Oid leaf_;
    bool started_ = false;
    std::array<char, 16> last_bytes_{};
    Datum last_key_ = 0;
};

} // namespace pgcleanup
