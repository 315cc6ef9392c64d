// What the bounds of a partition say about every row that it can hold.
#pragma once

#include "core/block_ranges.h"
#include "extension/eligibility.h"

namespace pgcleanup {

enum class BoundsVerdict {
    unknown,  // some rows that it may hold are due, others are not; or nothing can be proved
    none_due, // no row that it may hold is due
    past,    // every row is before the cutoff, but some that it may hold would stay: infinite, not positive, no uuid of
             // version 7, before age_from; its contents decide
    all_due, // every row that it may hold is due
};

// Proved by PostgreSQL's own prover: the partition constraints of the relation and of everything above it, of whatever
// kind of partitioning at whatever level, imply the eligibility's age test (or refute it). So bounds are compared with
// the very values that rows are compared with, and what is not proved goes row by row. Inside a transaction, with a
// lock on `relation`; `unknown` for a policy without an age.
BoundsVerdict judge_bounds(const Eligibility& eligibility, Oid relation);

// Whether the leaf table holds a row, by a new snapshot, that its age does not make due.
bool holds_rows_that_stay(const Eligibility& eligibility, Oid leaf);
// The same of a part of it.
bool holds_rows_that_stay(const Eligibility& eligibility, Oid leaf, core::BlockRange blocks);

} // namespace pgcleanup
