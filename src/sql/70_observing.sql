-- Seeing what happens, and stopping it.

CREATE TYPE cleanup_stats_result AS (
  policy text, target regclass, enabled boolean, state text,
  runs bigint, rows bigint, dependent_rows bigint, row_bytes bigint,
  files_deleted bigint, files_pending bigint, files_failed bigint, file_bytes bigint,
  last_run_at timestamptz, last_status text, last_error text, next_run_at timestamptz,
  oldest_row timestamptz, overdue interval, table_rows bigint, table_bytes bigint, as_of timestamptz
);
COMMENT ON TYPE cleanup_stats_result IS 'A row of cleanup_stats';
COMMENT ON COLUMN cleanup_stats_result.state IS 'ready, disabled, unbound or broken; running or paused where that is so';
COMMENT ON COLUMN cleanup_stats_result.runs IS 'Runs that the policy had a part in, skipped ones included; like the counters, over its whole life';
COMMENT ON COLUMN cleanup_stats_result.last_error IS 'The message of the last run, unless it succeeded';
COMMENT ON COLUMN cleanup_stats_result.oldest_row IS 'Age of the oldest row that the policy is about, as of as_of';
COMMENT ON COLUMN cleanup_stats_result.overdue IS 'How long ago that row became due; NULL when it is not';
COMMENT ON COLUMN cleanup_stats_result.table_rows IS 'The planner''s estimate';
COMMENT ON COLUMN cleanup_stats_result.table_bytes IS 'With indexes and TOAST, all partitions';
COMMENT ON COLUMN cleanup_stats_result.as_of IS 'When oldest_row was read: now from an index, else by the last run; NULL when it is not known';

CREATE FUNCTION cleanup_stats(policy text DEFAULT '*') RETURNS SETOF cleanup_stats_result
  LANGUAGE c STABLE PARALLEL UNSAFE ROWS 20 COST 10000 AS 'MODULE_PATHNAME', 'cleanup_stats';
COMMENT ON FUNCTION cleanup_stats(text) IS 'What each policy has done, and how its table stands; never scans a table';

-- Whether the process of a run is there. A view cannot look at locks itself.
CREATE FUNCTION cleanup_run_is_alive(run_id bigint) RETURNS boolean
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_run_is_alive';
COMMENT ON FUNCTION cleanup_run_is_alive(bigint) IS 'Whether some process works on a run; NULL on a standby, where that cannot be seen';

-- Whoever asks sees what he may see of the runs.
CREATE VIEW cleanup_progress WITH (security_invoker = true) AS
  SELECT r.run_id, t.policy, t.table_name AS target, t.action, t.strategy,
    CASE WHEN l.alive THEN 'running' ELSE 'interrupted' END AS status,
    round(least(100.0 * t.done_units / nullif(t.total_units, 0), 100), 1) AS percent,
    t.rows, t.dependent_rows,
    round(t.rows / nullif(e.seconds, 0)) AS rows_per_second,
    CASE WHEN l.alive AND t.done_units > 0
      THEN make_interval(secs => round(e.seconds * greatest(t.total_units - t.done_units, 0) / t.done_units)::float8) END AS eta,
    t.batches, t.redone_batches, t.skipped_rows, t.done_units, t.total_units, t.unit,
    CASE WHEN l.alive THEN t.waiting_for END AS waiting_for,
    t.cutoff, r.trigger, r.requested_by, t.started_at, t.updated_at, r.worker_pid
  FROM cleanup_runs r
    JOIN cleanup_run_targets t USING (run_id)
    CROSS JOIN LATERAL (SELECT coalesce(cleanup_run_is_alive(r.run_id), true) AS alive) l
    CROSS JOIN LATERAL (
      SELECT extract(epoch FROM CASE WHEN l.alive THEN clock_timestamp() ELSE t.updated_at END - t.started_at) AS seconds) e
  WHERE r.status = 'running' AND t.status = 'running' AND t.kind = 'target';
COMMENT ON VIEW cleanup_progress IS 'What runs are doing now: one row per running policy';
COMMENT ON COLUMN cleanup_progress.status IS 'running, or interrupted when its process is gone';
COMMENT ON COLUMN cleanup_progress.percent IS 'Done of what was there to do when the policy started';
COMMENT ON COLUMN cleanup_progress.rows_per_second IS 'Since the policy started, waiting included';
COMMENT ON COLUMN cleanup_progress.eta IS 'What the rest will take at that pace';
COMMENT ON COLUMN cleanup_progress.unit IS 'What done_units and total_units count';
COMMENT ON COLUMN cleanup_progress.waiting_for IS 'Why the run waits between batches; NULL while it works';
COMMENT ON COLUMN cleanup_progress.updated_at IS 'The last batch';

CREATE FUNCTION cleanup_pause(reason text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_pause';
COMMENT ON FUNCTION cleanup_pause(text) IS 'Stops all cleaning in this database at the next batch, until cleanup_resume';
CREATE FUNCTION cleanup_resume(reason text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_resume';
COMMENT ON FUNCTION cleanup_resume(text) IS 'Ends a pause; runs that it stopped are not taken up again by themselves';

CREATE TYPE cleanup_check_result AS (check_name text, status text, detail text, hint text);
COMMENT ON TYPE cleanup_check_result IS 'A row of cleanup_check';
COMMENT ON COLUMN cleanup_check_result.status IS 'ok, warning or error';
COMMENT ON COLUMN cleanup_check_result.hint IS 'What to do, as a statement to run where there is one';
CREATE FUNCTION cleanup_check() RETURNS SETOF cleanup_check_result
  LANGUAGE c STABLE PARALLEL UNSAFE ROWS 20 COST 10000 AS 'MODULE_PATHNAME', 'cleanup_check';
COMMENT ON FUNCTION cleanup_check() IS 'Whether all is well, and if not, what to do; one row per finding, fit for an alert';
