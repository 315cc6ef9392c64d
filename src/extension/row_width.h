// How much space a row takes, by a sample.
#pragma once

#include "pg/spi.h"

namespace pgcleanup {

// Bytes that a row of `table`, which may be partitioned, takes on average: its stored columns (compressed, and moved
// out of line, as they are) with tuple header and line pointer, without indexes. A whole number, so that sums over
// batches come to the same as one multiplication. From a repeatable sample of about fifty blocks (all of a small
// table), which depends on nothing but the table's contents: a dry run and the run after it get the same; the planner's
// width of the columns when the sample has no rows. Reads as the current user.
double average_row_bytes(pg::Spi& spi, Oid table);

} // namespace pgcleanup
