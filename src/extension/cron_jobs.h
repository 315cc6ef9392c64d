// Jobs in pg_cron, which may live in another database of the server.
#pragma once

#include "extension/next_run.h"
#include "extension/task.h"

namespace pgcleanup {

// Raises object_not_in_prerequisite_state, with what to type, when no job can be made.
void check_cron_is_there();

// Makes the schedule's job, as the current user, in whose name it will run; removes it, whoever's it is. In pg_cron's
// own database as part of the transaction; in another one at once and for good, by a worker that is connected there.
void make_cron_job(const pg::Extension& extension, const Schedule& schedule);
void remove_cron_job(const pg::Extension& extension, const Schedule& schedule);

// Why pg_cron does not run a schedule of that kind, as far as can be seen from this database.
std::optional<Obstacle> cron_obstacle(const Schedule& schedule);

// The work of that worker, in pg_cron's database.
void change_cron_job(const CronJob& job);

} // namespace pgcleanup
