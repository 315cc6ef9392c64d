// The row of cleanup_runs that a run begins with.
#pragma once

#include "extension/task.h"
#include "pg/identity.h"

namespace pgcleanup {

// Inserts it in the current transaction, as the extension's owner (who must be in force), and returns the run's id.
// `worker_pid`: the process that coordinates the run, as far as it is known already.
std::int64_t insert_run(pg::Spi& spi, const pg::Extension& extension, const TaskRequest& request,
                        std::optional<std::int32_t> worker_pid);

} // namespace pgcleanup
