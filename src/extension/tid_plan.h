// Keeps deletes by row id what they are: the planner may prefer the age index, which would be read anew for each batch.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// Verifies that the statement's (generic) plan reaches the target by a TID scan or TID range scan; plans it again with
// all other scans made unattractive when it does not. False when even that does not help, because owner code that
// planning runs (a function folded to a constant) changes the settings: the plan is then slow, and as right as any.
// Needs an open Spi.
bool ensure_tid_plan(const pg::Plan& plan);

} // namespace pgcleanup
