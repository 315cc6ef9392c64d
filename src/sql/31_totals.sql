-- What finished runs amounted to whose rows in the history are pruned: pruning adds here in the same transaction, so the
-- sums of cleanup_stats never fall. By the policy's identity: a policy made anew under an old name starts at nothing.
CREATE TABLE cleanup_totals (
  policy_id bigint PRIMARY KEY REFERENCES cleanup_policies ON DELETE CASCADE,
  runs bigint NOT NULL DEFAULT 0,
  rows bigint NOT NULL DEFAULT 0,
  dependent_rows bigint NOT NULL DEFAULT 0,
  row_bytes bigint NOT NULL DEFAULT 0,
  batches bigint NOT NULL DEFAULT 0,
  first_run_at timestamptz NOT NULL,
  last_run_at timestamptz NOT NULL
);
COMMENT ON TABLE cleanup_totals IS 'What each policy did in runs that are no longer in the history; cleanup_stats adds it up with the rest';
COMMENT ON COLUMN cleanup_totals.first_run_at IS 'Start of the earliest run that was pruned';
COMMENT ON COLUMN cleanup_totals.last_run_at IS 'Start of the latest run that was pruned';
