CREATE TYPE cleanup_restore_result AS (
  run_id bigint, policy text, relation regclass, status text, rows bigint, reset_references bigint, conflicts bigint,
  row_key jsonb, message text
);
COMMENT ON TYPE cleanup_restore_result IS 'What a restore did in one table; or, with status conflict, a row that it left in the archive, and why';

CREATE FUNCTION cleanup_restore(run_id bigint, policy text DEFAULT NULL, condition text DEFAULT NULL)
  RETURNS SETOF cleanup_restore_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'cleanup_restore';
COMMENT ON FUNCTION cleanup_restore(bigint, text, text)
  IS 'Puts the rows that a run archived back into their tables, all of them or those that meet a condition';
