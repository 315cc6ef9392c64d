CREATE TYPE cleanup_run_result AS (
  run_id bigint, policy text, target regclass, action text, status text,
  rows bigint, dependent_rows bigint, files_queued bigint, row_bytes bigint, batches bigint,
  skipped_rows bigint, duration interval, message text
);
COMMENT ON TYPE cleanup_run_result IS 'What a run did for one policy';

CREATE FUNCTION cleanup_run(
  policy text DEFAULT '*', retain interval DEFAULT NULL, age_from timestamptz DEFAULT NULL,
  age_to timestamptz DEFAULT NULL, max_rows bigint DEFAULT NULL, max_duration interval DEFAULT NULL,
  as_of timestamptz DEFAULT NULL, force boolean DEFAULT false, wait boolean DEFAULT true
) RETURNS SETOF cleanup_run_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'cleanup_run';
COMMENT ON FUNCTION cleanup_run(text, interval, timestamptz, timestamptz, bigint, interval, timestamptz, boolean, boolean)
  IS 'Runs a policy, or every enabled one, in background workers, in batches that each commit';

CREATE FUNCTION cleanup_cancel(run_id bigint) RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_cancel';
COMMENT ON FUNCTION cleanup_cancel(bigint) IS 'Ends a run; what it committed stays done. False when it is not running';
