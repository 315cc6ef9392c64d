// Keeps deletes by row id what they are: the planner may prefer the age index, which would be read anew for each batch.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// Verifies that the statement's (generic) plan reaches the target by a TID scan or TID range scan; plans it again with
// all other scans made unattractive when it does not; raises internal_error when even that does not help. Needs an open
// Spi.
void ensure_tid_plan(const pg::Plan& plan);

} // namespace pgcleanup
