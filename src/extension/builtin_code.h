// Whether a statement runs PostgreSQL's own code only.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// True when the statement of `plan` has no subquery and calls no function, operator or domain check that was made after
// initdb: it does what it says, in bounded time, and nobody's code runs.
bool runs_builtin_code_only(const pg::Plan& plan);

} // namespace pgcleanup
