// Whether a statement runs PostgreSQL's own code only.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// True when the statement of `plan` has no subquery and calls no function, operator or domain check that was made after
// initdb: it does what it says, in bounded time, and nobody's code runs.
bool runs_builtin_code_only(const pg::Plan& plan);

// True when what the statement of `plan` says of a row may depend on other rows: it has a subquery, or calls a function
// made after initdb that is not IMMUTABLE. PostgreSQL tests such a row that it has waited for with the other rows as
// they were before it waited.
bool may_read_other_rows(const pg::Plan& plan);

} // namespace pgcleanup
