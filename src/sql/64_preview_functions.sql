-- What a run would do: a sample, and the numbers. Both only read, in a worker as the target's owner, also on a standby.
CREATE TYPE cleanup_preview_result AS (row_data jsonb, age timestamptz, why text, new_values jsonb);
COMMENT ON TYPE cleanup_preview_result IS 'A row that a policy would delete or update, its age, why it is due or stays, and what an update would set';

CREATE TYPE cleanup_dry_run_result AS (
  policy text, target regclass, action text, strategy text, cutoff timestamptz,
  eligible_rows bigint, held_rows bigint, blocked_rows bigint, dependent_rows bigint, files bigint, row_bytes bigint,
  oldest timestamptz, newest timestamptz, warnings text[]
);
COMMENT ON TYPE cleanup_dry_run_result IS 'What a run of one policy would do: it deletes, or updates, eligible_rows - held_rows - blocked_rows';

CREATE FUNCTION cleanup_preview(policy text, rows int DEFAULT 20) RETURNS SETOF cleanup_preview_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20 AS 'MODULE_PATHNAME', 'cleanup_preview';
COMMENT ON FUNCTION cleanup_preview(text, int)
  IS 'Some of the rows that a policy would delete or update now, oldest first where an index serves, and why';

CREATE FUNCTION cleanup_dry_run(
  policy text DEFAULT '*', retain interval DEFAULT NULL, age_from timestamptz DEFAULT NULL, age_to timestamptz DEFAULT NULL
) RETURNS SETOF cleanup_dry_run_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'cleanup_dry_run';
COMMENT ON FUNCTION cleanup_dry_run(text, interval, timestamptz, timestamptz)
  IS 'How many rows a policy, or every enabled one, would delete or update now, how, and with which warnings; changes nothing';

CREATE TYPE cleanup_dry_run_detail_result AS (
  dependent regclass, link text, path text[], action text, rows bigint, files bigint, indexed boolean, owner name, note text, hint text
);
COMMENT ON TYPE cleanup_dry_run_detail_result IS 'What a run of one policy would do to a dependent table by one foreign key or relation';

CREATE FUNCTION cleanup_dry_run_detail(policy text) RETURNS SETOF cleanup_dry_run_detail_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20 AS 'MODULE_PATHNAME', 'cleanup_dry_run_detail';
COMMENT ON FUNCTION cleanup_dry_run_detail(text)
  IS 'Each foreign key and relation that a run of the policy meets: which rows go, change or block by it; changes nothing';
