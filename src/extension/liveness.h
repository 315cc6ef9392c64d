// Whether the process of a run is still there.
#pragma once

#include "pg/identity.h"
#include "pg/spi.h"

namespace pgcleanup {

enum class Liveness { alive, dead, unknown };

// Looks at the lock that a run's process holds while it lives (LockKind::run_alive). Locks of the primary are not to be
// seen on a standby: unknown.
//
// The row of a run and its lock are two things, and a run may end between the two looks: who has read "running" and
// then finds the run dead here must read the row again before he believes it.
Liveness run_liveness(const pg::Extension& extension, std::int64_t run_id);

// Runs whose row says running and that nobody works on, each confirmed by a second look at its row.
std::vector<std::int64_t> find_dead_runs(pg::Spi& spi, const pg::Extension& extension);

// Marks those as interrupted, as of their last sign of life, with an audit row each; returns how many. Whoever starts a
// run does this first, so that no preloaded library is needed for it.
std::size_t mark_dead_runs(pg::Spi& spi, const pg::Extension& extension);

} // namespace pgcleanup
