// The caller's side of a run: starts its coordinator, and waits for it or not.
#pragma once

#include "extension/worker_launch.h"
#include "pg/identity.h"

namespace pgcleanup {

// Starts the run and hands over one row of cleanup_run_result per policy as it ends. When the caller is cancelled, the
// run is, and has ended when the cancel is raised. Raises what ended the run as a whole.
void run_and_wait(const TaskRequest& request, const std::function<void(const std::vector<pg::Cell>&)>& on_row);

// Prepares a run that starts when the current transaction commits; returns its id.
std::int64_t start_run_at_commit(const TaskRequest& request, const pg::Extension& extension);

} // namespace pgcleanup
