// The history of runs and the audit are bounded; what falls off leaves its sums behind.
#pragma once

#include "pg/identity.h"
#include "pg/spi.h"

namespace pgcleanup {

// Whether anything is older than `before` that prune_history() would remove.
bool history_is_due(pg::Spi& spi, const pg::Extension& extension, TimestampTz before);

// Removes finished runs and audit rows from before `before`, in the caller's transaction, and adds what the runs did to
// cleanup_totals, so that the lifetime sums of cleanup_stats stay. A policy's last run stays whatever its age. A row
// "history_pruned" in the audit says how many went and from which time, this time and ever.
//
// Does a bounded portion at a time: true when there is more, for the next transaction. Does nothing until the oldest
// row is an hour past `before`: a run each minute need not write an audit row each minute about its predecessor.
bool prune_history(pg::Spi& spi, const pg::Extension& extension, TimestampTz before);

} // namespace pgcleanup
