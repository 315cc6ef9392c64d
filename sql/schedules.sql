-- Schedules as they are typed; nothing is preloaded here, so nothing runs them.
SET timezone = 'UTC';
\set VERBOSITY default
CREATE SCHEMA schedules;
CREATE TABLE schedules.events (id int, created_at timestamptz);
SELECT cleanup_add_policy('sched_events', 'schedules.events', 'created_at', '30 days') > 0 AS added;

-- what is no schedule
SELECT cleanup_schedule('sched_events');
SELECT cleanup_schedule('sched_events', at => '03:00', every => '1 day');
SELECT cleanup_schedule('sched_events', at => '03:00', cron => '0 3 * * *');
SELECT cleanup_schedule(NULL, at => '03:00');
SELECT cleanup_schedule('sched_event', at => '03:00');
SELECT cleanup_schedule('sched_events', every => '30 seconds');
SELECT cleanup_schedule('sched_events', every => '30');
SELECT cleanup_schedule('sched_events', every => '-1 day');
SELECT cleanup_schedule('sched_events', every => '1 month -1 day');
SELECT cleanup_schedule('sched_events', every => '11 years');
SELECT cleanup_schedule('sched_events', at => '03:00', run_window => '22-6');
SELECT cleanup_schedule('sched_events', at => '03:00', run_window => '22:00-22:00');
-- the hint names the package of the server's version
\set VERBOSITY terse
SELECT cleanup_schedule('sched_events', cron => '0 3 * * *');
\set VERBOSITY default
DO $$
DECLARE
  detail text; hint text;
BEGIN
  PERFORM cleanup_schedule('sched_events', cron => '0 3 * * *');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RAISE NOTICE E'%\n%', detail, replace(hint, 'postgresql-' || current_setting('server_version_num')::int / 10000, 'postgresql-NN');
END $$;
SELECT count(*) FROM cleanup_schedules;

-- one a policy: the second replaces the first
SELECT cleanup_schedule('sched_events', at => '03:00');
SELECT cleanup_schedule('sched_events', every => '1 day 02:00', run_window => '22:00-06:00');
SELECT kind, at, every, cron, run_window, s.time_zone, job_name, s.created_by = current_user AS by_me
  FROM cleanup_schedules s JOIN cleanup_policies USING (policy_id) WHERE policy = 'sched_events';
SELECT runs, missed, overlapped, unfinished, handled_until <= now() AS begun FROM cleanup_schedule_states;
SELECT cleanup_schedule(every => '1 hour');
SELECT kind, every FROM cleanup_schedules WHERE policy_id IS NULL;
SELECT next_run_at FROM cleanup_stats('sched_events');
SELECT check_name, status, detail FROM cleanup_check() WHERE check_name IN ('launcher', 'pg_cron') ORDER BY 1;

-- away again
SELECT cleanup_unschedule('*');
SELECT cleanup_unschedule('*');
SELECT cleanup_unschedule(NULL);
SELECT cleanup_unschedule('sched_events');
SELECT cleanup_unschedule('sched_events');
SELECT event, policy, details FROM cleanup_audit WHERE event LIKE '%schedule' ORDER BY audit_id;

-- with its policy
SELECT cleanup_schedule('sched_events', at => '03:00');
SELECT cleanup_drop_policy('sched_events');
SELECT count(*) FROM cleanup_schedules;
SELECT count(*) FROM cleanup_schedule_states;

-- settings
SET "pg_cleanup.window" = '22:00-6:00';
SET "pg_cleanup.window" = 'at night';
SET "pg_cleanup.window" = '';
SET pg_cleanup.enabled = off;
SELECT cleanup_run_scheduled(NULL);
SELECT cleanup_run_scheduled(0);
DROP SCHEMA schedules CASCADE;
