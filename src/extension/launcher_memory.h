// What the launcher, its workers and everybody's sessions share: plain data in the server's main shared memory, there
// only when the library is preloaded.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// Asks for the memory, and starts the launcher; while shared_preload_libraries are loaded.
void prepare_launcher();

// Whether the library was preloaded, so that there is a launcher.
bool has_launcher();

// --- sessions: telling of changes

// Has the launcher look at this database again once the current transaction is committed. Does nothing without one.
void wake_launcher_at_commit();

// --- the launcher

// From now until the process ends, this process is the launcher.
void become_launcher();
struct ChangedDatabases {
    bool all = false; // too many to be named
    std::vector<Oid> databases;
};
// What was told since the last call.
ChangedDatabases take_changes();
// Since when what became due would have been run, on the clock of schedules.
TimestampTz watched_since();
void set_watched_since(TimestampTz time);
// A worker ended before its work was done.
void count_crash();

// --- probes, one at a time: what a look into a database found

struct DueTime {
    std::int64_t schedule_id;
    TimestampTz starts_at; // on the clock of schedules
};
struct ProbeResult {
    bool has_extension = false;
    std::vector<DueTime> due; // the earliest ones, in order
};
void publish_probe(Oid database, const ProbeResult& result);
// Takes it away; nothing when the probe of that database has published none.
std::optional<ProbeResult> take_probe(Oid database);

// --- scheduled runs

// The calling process works on this schedule until it ends, which the launcher is then told of.
// False when another process does, or as many as may.
bool occupy_run_slot(Oid database, std::int64_t schedule_id, int most);
struct RunningSchedule {
    Oid database;
    std::int64_t schedule_id;
    bool operator==(const RunningSchedule&) const = default;
};
std::vector<RunningSchedule> running_schedules();

// --- cleanup_check

struct LauncherStatus {
    int pid = 0;            // 0: it does not run
    std::int64_t looks = 0; // probes that came to their end
    std::int64_t crashes = 0;
    TimestampTz last_crash = 0;
};
LauncherStatus launcher_status();

} // namespace pgcleanup
