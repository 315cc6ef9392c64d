// Keeps deletes by row id what they are: the planner may prefer the age index, which would be read anew for each batch.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// A prepared statement of a batch, with a generic plan that is looked at before each use.
class TidPlan {
public:
    // `probes`: the statement looks, for each row, at others: whether they reference it, whether they are newer.
    TidPlan(pg::Plan plan, bool probes) : plan_(std::move(plan)), probes_(probes) {}

    const pg::Plan& plan() const noexcept { return plan_; }

    // Verifies that the plan reaches the target by a TID scan or TID range scan, and the referencing tables by an index
    // if there is one; else plans again with other scans made unattractive. False when even that does not help, because
    // owner code that planning runs (a function folded to a constant) changes the settings: the plan is then slow, and
    // as right as any. Needs an open Spi.
    bool ensure();

private:
    pg::Plan plan_;
    bool probes_;
    int generation_ = -1; // of the plan that was made under our settings
};

} // namespace pgcleanup
