-- When policies run.
CREATE FUNCTION cleanup_schedule(
  policy text DEFAULT '*', cron text DEFAULT NULL, at time DEFAULT NULL, every interval DEFAULT NULL,
  run_window text DEFAULT NULL
) RETURNS timestamptz LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_schedule';
COMMENT ON FUNCTION cleanup_schedule(text, text, time, interval, text)
  IS 'Sets when a policy, or every enabled one, runs; replaces its schedule. Returns the next time';

CREATE FUNCTION cleanup_unschedule(policy text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_unschedule';
COMMENT ON FUNCTION cleanup_unschedule(text) IS 'Removes the schedule of a policy, or with ''*'' the one for every policy; a run that is going on goes on';

-- The launcher must know of every change at once, also of those by hand and by a restore.
CREATE FUNCTION cleanup_schedules_changed() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_schedules_changed';
COMMENT ON FUNCTION cleanup_schedules_changed() IS 'Trigger of cleanup_schedules and cleanup_policies: wakes the launcher when the transaction commits';
CREATE TRIGGER cleanup_schedules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cleanup_schedules
  FOR EACH STATEMENT EXECUTE FUNCTION cleanup_schedules_changed();
CREATE TRIGGER cleanup_schedules_changed AFTER UPDATE OR DELETE OR TRUNCATE ON cleanup_policies
  FOR EACH STATEMENT EXECUTE FUNCTION cleanup_schedules_changed();
ALTER TABLE cleanup_schedules ENABLE ALWAYS TRIGGER cleanup_schedules_changed;
ALTER TABLE cleanup_policies ENABLE ALWAYS TRIGGER cleanup_schedules_changed;

CREATE FUNCTION cleanup_run_scheduled(schedule_id bigint) RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_run_scheduled';
COMMENT ON FUNCTION cleanup_run_scheduled(bigint) IS 'What jobs of pg_cron call: starts the run of a schedule, unless it may not run now. Returns the run''s id';
