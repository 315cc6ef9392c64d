// Which partitions of a target go as a whole, and which leaf tables are worked on row by row.
#pragma once

#include "extension/partition_bounds.h"
#include "extension/partition_obstacles.h"

namespace pgcleanup {

// A partition that lies wholly past the cutoff: a leaf table, or a partitioned one with everything below it.
struct PartitionUnit {
    Oid top = InvalidOid;
    std::vector<Oid> leaves; // as they were when this was planned
    std::int64_t blocks = 0;
    bool contents_decide = false; // bounds alone do not prove that every row is due
};

struct PartitionPlan {
    std::vector<PartitionUnit> units;               // oldest first, as far as bounds are ordered
    std::vector<Oid> leaves;                        // row by row
    std::map<std::string, std::int64_t> row_by_row; // reason -> partitions wholly past the cutoff that go row by row

    std::int64_t blocks() const;
    // Of those partitions, for people.
    std::vector<std::string> warnings() const;
};

// Walks the tree of partitions. A leaf table whose bounds let no row be due is in neither list. The last partition of a
// table (a DEFAULT one apart) is never a unit: the table could take no row any more, and pg_partman would stop. Inside
// an OwnerTransaction, read-only or not.
PartitionPlan plan_partitions(const Policy& policy, const Eligibility& eligibility, Oid owner);

// What `relation` is a partition of, nearest first, at every level.
std::vector<Oid> tables_above(Oid relation);
// The direct partitions of a partitioned table, by their bounds; the DEFAULT one is left out.
std::vector<Oid> partitions_of(Oid table);
// The DEFAULT partition, or InvalidOid.
Oid default_partition(Oid table);

} // namespace pgcleanup
