// Counting what a run would delete. All of these read with the active snapshot, so that the numbers of one dry run
// belong together, inside an OwnerTransaction.
#pragma once

#include "extension/cascade.h"
#include "extension/eligibility.h"

#include <map>

namespace pgcleanup {

// The rows of one leaf table.
struct DueRows {
    std::int64_t eligible = 0;
    std::int64_t blocked = 0;                       // of the eligible ones
    std::map<std::string, std::int64_t> blocked_by; // "constraint on table": how many of the blocked rows it keeps
    std::optional<TimestampTz> oldest;              // of the eligible ones
    std::optional<TimestampTz> newest;

    std::int64_t going() const noexcept { return eligible - blocked; }
    DueRows& operator+=(const DueRows& other);
};

// `owner`: what he cannot read is not probed for references. `rows_go`: false for rows that are only changed, which no
// reference blocks.
DueRows count_due_rows(pg::Spi& spi, const Eligibility& eligibility, Oid leaf, Oid owner, bool rows_go);

// Rows that go (CASCADE) or change (SET NULL, SET DEFAULT) with the eligible rows of `target` that nothing blocks, at
// any depth, as PostgreSQL's constraint actions would do: each row once, and without those eligible rows themselves.
// `cascade` starts at `target`, which may be partitioned; what its reader could not read is not counted. The rows that
// go are gathered once (row id and key columns, on disk when they are many), then joined along each path of keys; by a
// recursive query, which remembers each row, where the keys form a cycle.
std::int64_t count_dependent_rows(pg::Spi& spi, const Eligibility& eligibility, const Cascade& cascade, Oid owner);

} // namespace pgcleanup
