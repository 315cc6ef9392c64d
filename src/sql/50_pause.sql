-- The database's emergency stop: paused while a row has no resumed_at.
CREATE TABLE cleanup_pauses (
  paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  paused_by name NOT NULL,
  reason text NOT NULL,
  resumed_at timestamptz,
  resumed_by name,
  resume_reason text
);
CREATE UNIQUE INDEX cleanup_pauses_open ON cleanup_pauses ((true)) WHERE resumed_at IS NULL;
COMMENT ON TABLE cleanup_pauses IS 'Emergency stops of this database: cleanup_pause and cleanup_resume';
