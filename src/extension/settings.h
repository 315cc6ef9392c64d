// The settings pg_cleanup.*, as values with units.
#pragma once

#include "pg/guard.h"

namespace pgcleanup {

// Declares all of them to PostgreSQL; once, when the library is loaded.
void define_settings();

// pg_cleanup.batch_target_ms: how long one batch should take.
std::chrono::milliseconds batch_target();
// pg_cleanup.lock_timeout, but at most half of deadlock_timeout: whoever waits less than the deadlock check takes to
// start never makes the application the deadlock's victim.
std::chrono::milliseconds lock_timeout();
// pg_cleanup.cancel_grace: from asking a worker to stop until it is terminated.
std::chrono::milliseconds cancel_grace();
// pg_cleanup.history_retain: how long finished runs and the audit are kept; nothing: for ever.
std::optional<std::chrono::minutes> history_retain();
// pg_cleanup.large_table_rows: above it, a missing index on the age is worth a warning.
std::int64_t large_table_rows();
// pg_cleanup.max_failing_rows: rows that a policy may leave behind for their errors before the run of it fails.
std::int64_t max_failing_rows();
// pg_cleanup.max_unindexed_reference_rows: a run that would read a larger table for each deleted row is refused; -1:
// never.
std::int64_t max_unindexed_reference_rows();
// pg_cleanup.max_family_rows: a family with more rows is warned of, and split where its policy says so.
std::int64_t max_family_rows();
// pg_cleanup.old_transaction: from this age on, cleanup_check warns of an open transaction.
std::chrono::seconds old_transaction();

// pg_cleanup.enabled: whether schedules are kept.
bool schedules_enabled();
// pg_cleanup.catch_up: whether times that nobody was there for are made up.
bool catch_up();
// pg_cleanup.databases; none: all that have the extension. Allocates in the current memory context.
std::vector<std::string> scheduled_databases();
// pg_cleanup.window: the hours of scheduled runs, as core::parse_run_window() reads them; empty: at any time.
std::string default_run_window();
// pg_cleanup.max_workers: scheduled runs at a time, at most most_scheduled_runs.
inline constexpr int most_scheduled_runs = 32;
int max_scheduled_runs();
// pg_cleanup.test_clock_offset: how far the clock of schedules is ahead.
std::chrono::seconds test_clock_offset();

} // namespace pgcleanup
