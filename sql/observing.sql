-- cleanup_stats, cleanup_progress, cleanup_pause, cleanup_resume, cleanup_check.
CREATE SCHEMA observing;
SET search_path = observing, public;
SET timezone = 'UTC';
SET client_min_messages = warning; -- not that policies are not scheduled

CREATE TABLE events (id bigint PRIMARY KEY, created_at timestamptz, keep boolean NOT NULL DEFAULT false);
INSERT INTO events SELECT n, now() - n * interval '1 day' FROM generate_series(1, 100) n;
CREATE INDEX events_created_at ON events (created_at);
ANALYZE events;
SELECT cleanup_add_policy('obs_events', 'events', 'created_at', '30 days') > 0 AS added;

-- what must be said, and what is not there
SELECT * FROM cleanup_stats(NULL);
SELECT * FROM cleanup_stats('obs_evnts');

CREATE VIEW stats AS
  SELECT policy, target, enabled, state, runs, rows, dependent_rows, row_bytes > 0 AS has_bytes, last_status, last_error,
    last_run_at IS NOT NULL AS has_run, round(extract(epoch FROM now() - oldest_row) / 86400) AS oldest_days,
    date_trunc('day', overdue) AS overdue, table_bytes > 0 AS has_size, as_of = now() AS is_current
  FROM cleanup_stats('*') WHERE policy LIKE 'obs\_%' ORDER BY policy;
\x on
SELECT * FROM stats;
SELECT table_rows, files_deleted, files_pending, files_failed, file_bytes, next_run_at FROM cleanup_stats('obs_events');

-- by run
\x off
SELECT policy, status, rows FROM cleanup_run('obs_events', max_rows => 50);
\x on
SELECT * FROM stats;
\x off
SELECT policy, status, rows FROM cleanup_run('obs_events');
\x on
SELECT * FROM stats;
\x off

-- oldest_row: what has the age NULL, infinite, or does not meet the condition is not meant
CREATE FUNCTION oldest(policy text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(round(extract(epoch FROM now() - oldest_row) / 86400) || ' days', 'none')
    || CASE WHEN as_of IS NULL THEN ', unknown' WHEN as_of = now() THEN ', now' ELSE ', earlier' END
  FROM cleanup_stats(policy)
$$;
INSERT INTO events VALUES (1001, NULL, false), (1002, '-infinity', false), (1003, 'infinity', false), (1004, now() - interval '90 days', true),
  (1005, now() - interval '80 days', true), (1006, now() - interval '40 days', false);
SELECT oldest('obs_events');
SELECT cleanup_alter_policy('obs_events', condition => 'NOT keep');
SELECT oldest('obs_events');
SELECT cleanup_alter_policy('obs_events', condition => 'id > 1000000');
SELECT oldest('obs_events') AS none_of_all_rows;
SELECT cleanup_alter_policy('obs_events', condition => 'id IN (SELECT 1006)');
SELECT oldest('obs_events') AS no_subqueries;
CREATE FUNCTION own(bigint) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 = 1006';
SELECT cleanup_alter_policy('obs_events', condition => 'observing.own(id)');
SELECT oldest('obs_events') AS nobodys_functions;
SELECT cleanup_alter_policy('obs_events', clear => '{condition}');
DROP INDEX events_created_at;
SELECT oldest('obs_events') AS no_index;
CREATE INDEX events_partial ON events (created_at) WHERE keep;
SELECT oldest('obs_events') AS partial_index;
CREATE INDEX events_created_at ON events (created_at DESC NULLS LAST, id);
SELECT oldest('obs_events') AS descending_index;
DELETE FROM events WHERE created_at < 'infinity' OR created_at IS NULL;
SELECT oldest('obs_events') AS nothing_finite;

-- the other age types, also partitioned
CREATE TABLE obs_ages (d date, ts timestamp, s int, us bigint, u uuid);
INSERT INTO obs_ages SELECT day::date, day, extract(epoch FROM day), extract(epoch FROM day) * 1e6,
    overlay(overlay(lpad(to_hex((extract(epoch FROM day) * 1000)::bigint), 12, '0') || repeat('0', 20)
      placing '7' from 13) placing '8' from 17)::uuid
  FROM (SELECT date_trunc('day', now()) - n * interval '1 day' AS day FROM generate_series(0, 50) n) days;
INSERT INTO obs_ages VALUES ('-infinity', '-infinity', -5, 0, '00000000-0000-4000-8000-000000000000');
CREATE INDEX ON obs_ages (d); CREATE INDEX ON obs_ages (ts); CREATE INDEX ON obs_ages (s); CREATE INDEX ON obs_ages (us);
CREATE INDEX ON obs_ages (u);
SELECT cleanup_add_policy('obs_age_d', 'obs_ages', 'd', '30 days'),
  cleanup_add_policy('obs_age_ts', 'obs_ages', 'ts', '30 days'), cleanup_add_policy('obs_age_s', 'obs_ages', 's', '30 days'),
  cleanup_add_policy('obs_age_us', 'obs_ages', 'us', '30 days', age_unit => 'us'),
  cleanup_add_policy('obs_age_u', 'obs_ages', 'u', '30 days') \g /dev/null
SELECT policy, (date_trunc('day', now()) - oldest_row) AS oldest, as_of = now() AS is_current FROM cleanup_stats()
  WHERE policy LIKE 'obs\_age\_%' ORDER BY policy;

CREATE TABLE parts (id int, at timestamptz) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE INDEX parts_at ON parts (at);
INSERT INTO parts SELECT n, now() - n * interval '1 day' FROM generate_series(1, 40) n;
ANALYZE parts;
SELECT cleanup_add_policy('obs_parts', 'parts', 'at', '10 days') > 0 AS added;
SELECT oldest('obs_parts');
SELECT table_rows, table_bytes > 3 * 8192 AS all_partitions FROM cleanup_stats('obs_parts');
SELECT cleanup_drop_policy(policy) FROM cleanup_policies WHERE policy LIKE 'obs\_age\_%' OR policy = 'obs_parts';

-- in a read-only transaction, and nothing stays locked
BEGIN READ ONLY;
SELECT policy, state FROM cleanup_stats('obs_events');
SELECT count(*) > 0 AS checks FROM cleanup_check();
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'events'::regclass;
COMMIT;

-- pause and resume
SELECT cleanup_pause(NULL);
SELECT cleanup_pause(' ');
SELECT cleanup_resume('not paused');
SELECT cleanup_pause('restoring a backup');
\set VERBOSITY terse
SELECT cleanup_pause('twice');
\set VERBOSITY default
SELECT policy, state FROM cleanup_stats('obs_events');
SELECT check_name, status, regexp_replace(detail, 'since [^:]*[^ ]*:', 'since ...:') AS detail, hint
  FROM cleanup_check() WHERE check_name = 'pause';
SELECT status, rows, message FROM cleanup_run('obs_events');
SELECT cleanup_resume('');
SELECT cleanup_resume('restored');
SELECT reason, resume_reason, resumed_at > paused_at AS in_order FROM cleanup_pauses WHERE reason = 'restoring a backup';
SELECT event, details->>'reason' AS reason, details->>'pause_reason' AS pause_reason FROM cleanup_audit
  WHERE event IN ('pause', 'resume') ORDER BY audit_id;

-- progress, of runs that are and are not there
INSERT INTO cleanup_runs (trigger, requested_by, started_at, status)
  VALUES ('manual', 'me', now() - interval '1 hour', 'running') RETURNING run_id AS dead \gset
SELECT policy_id FROM cleanup_policies WHERE policy = 'obs_events' \gset
INSERT INTO cleanup_run_targets (run_id, policy_id, policy, table_name, kind, action, strategy, status, rows, batches, done_units,
    total_units, unit, waiting_for, started_at, updated_at)
  VALUES (:dead, :policy_id, 'obs_events', 'observing.events', 'target', 'delete', 'block', 'running', 3600, 36, 250, 1000, 'blocks',
    'something', now() - interval '1 hour', now() - interval '30 minutes');
SELECT policy, target, status, percent, rows, rows_per_second, eta, batches, waiting_for FROM cleanup_progress;
SELECT cleanup_run_is_alive(:dead);
SELECT state, last_status, last_error, rows FROM cleanup_stats('obs_events');
SELECT status, regexp_replace(detail, '\d+', 'N') AS detail FROM cleanup_check() WHERE check_name = 'dead_runs';
-- the next run marks it
SELECT status FROM cleanup_run('obs_events');
SELECT status, message, finished_at = updated_at AS as_of_last_batch FROM cleanup_run_targets WHERE run_id = :dead;
SELECT status, message, date_trunc('minute', finished_at - started_at) AS lasted FROM cleanup_runs WHERE run_id = :dead;
SELECT event, rows, details FROM cleanup_audit WHERE run_id = :dead;
SELECT * FROM cleanup_progress;
SELECT rows FROM cleanup_stats('obs_events');
SELECT status, regexp_replace(detail, '\d+', 'N') AS detail FROM cleanup_check() WHERE check_name = 'dead_runs';

-- history: what is pruned stays in the sums
SELECT runs, rows FROM cleanup_stats('obs_events');
UPDATE cleanup_run_targets SET started_at = started_at - interval '1 year' WHERE policy = 'obs_events';
UPDATE cleanup_runs SET started_at = started_at - interval '1 year', finished_at = finished_at - interval '1 year'
  WHERE run_id IN (SELECT run_id FROM cleanup_run_targets WHERE policy = 'obs_events');
UPDATE cleanup_audit SET at = at - interval '1 year' WHERE event IN ('pause', 'resume');
SELECT status FROM cleanup_check() WHERE check_name = 'history';
SELECT status FROM cleanup_run('obs_events');
SELECT runs, rows FROM cleanup_stats('obs_events');
SELECT count(*) FROM cleanup_run_targets WHERE policy = 'obs_events';
SELECT t.runs, t.rows FROM cleanup_totals t JOIN cleanup_policies p USING (policy_id) WHERE p.policy = 'obs_events';
SELECT count(*) FROM cleanup_audit WHERE event IN ('pause', 'resume');
SELECT details - 'from' - 'from_ever' AS details FROM cleanup_audit WHERE event = 'history_pruned';
SELECT status FROM cleanup_check() WHERE check_name = 'history';
-- a policy that is renamed keeps its sums; one that is made anew begins at zero
UPDATE cleanup_policies SET policy = 'obs_renamed' WHERE policy = 'obs_events';
SELECT runs, rows, last_status FROM cleanup_stats('obs_renamed');
UPDATE cleanup_policies SET policy = 'obs_events' WHERE policy = 'obs_renamed';
SELECT cleanup_drop_policy('obs_events');
SELECT cleanup_add_policy('obs_events', 'events', 'created_at', '30 days') > 0 AS added;
SELECT runs, rows, last_status FROM cleanup_stats('obs_events');

-- check
SELECT check_name, status, detail FROM cleanup_check()
  WHERE check_name NOT IN ('version', 'history', 'worker_slots') AND (status = 'ok' OR detail LIKE '%obs\_%');
INSERT INTO events VALUES (2001, now() - interval '60 days');
ALTER TABLE events RENAME COLUMN created_at TO made_at;
SELECT check_name, status, detail, hint FROM cleanup_check() WHERE detail LIKE '%obs\_events%';
SELECT state FROM cleanup_stats('obs_events');
ALTER TABLE events RENAME COLUMN made_at TO created_at;
SELECT state FROM cleanup_stats('obs_events');
SELECT check_name, status, regexp_replace(detail, '\d\d:.* are', '... are') AS detail, hint FROM cleanup_check()
  WHERE detail LIKE '%obs\_events%';

-- what makes cleaning a table slow or risky
CREATE ROLE observing_other;
CREATE TABLE slow (id int PRIMARY KEY, at timestamptz);
INSERT INTO slow SELECT n, now() FROM generate_series(1, 1000) n;
ANALYZE slow;
CREATE TABLE child (id int, slow_id int REFERENCES slow ON DELETE CASCADE);
CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
ALTER FUNCTION theirs() OWNER TO observing_other;
CREATE TRIGGER theirs BEFORE DELETE ON slow FOR EACH ROW EXECUTE FUNCTION theirs();
SELECT cleanup_add_policy('obs_slow', 'slow', 'at', '30 days') > 0 AS added;
SET pg_cleanup.large_table_rows = 1000;
\x on
SELECT * FROM cleanup_check() WHERE detail LIKE '%obs\_slow%' AND check_name <> 'last_run';
\x off
CREATE INDEX ON slow (at);
CREATE INDEX ON child (slow_id);
DROP TRIGGER theirs ON slow;
SELECT * FROM cleanup_check() WHERE detail LIKE '%obs\_slow%' AND check_name <> 'last_run';

-- unbound
DROP TABLE slow CASCADE;
SELECT policy, target, state, table_rows, table_bytes FROM cleanup_stats('obs_slow');
SELECT check_name, status, detail, hint FROM cleanup_check() WHERE detail LIKE '%obs\_slow%';
UPDATE cleanup_policies SET enabled = false WHERE policy = 'obs_slow';
SELECT check_name, status FROM cleanup_check() WHERE detail LIKE '%obs\_slow%';

SELECT cleanup_drop_policy(policy) FROM cleanup_policies WHERE policy LIKE 'obs\_%';
DROP SCHEMA observing CASCADE;
DROP ROLE observing_other;
