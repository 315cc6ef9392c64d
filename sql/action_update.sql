-- Action update: what it sets, what it says, what it refuses.
CREATE SCHEMA action_update;
SET search_path = action_update, public;
SET client_min_messages = warning;
SET TimeZone = 'UTC';

CREATE TABLE connection (
  id bigint PRIMARY KEY, status text NOT NULL DEFAULT 'active', seen_at timestamptz NOT NULL,
  closed_at timestamp, close_reason varchar(60), details jsonb
);
INSERT INTO connection (id, seen_at, details) SELECT g, now() - g * interval '1 hour', jsonb_build_object('n', g) FROM generate_series(1, 60) g;
CREATE TABLE message (connection_id bigint REFERENCES connection);
INSERT INTO message SELECT id FROM connection;
SELECT cleanup_add_policy('au_timeout', 'connection', 'seen_at', '48 hours', condition => $$status = 'active'$$, action => 'update', time_zone => 'UTC',
  set_values => $${"status": "'timeout'", "closed_at": "now()", "details": "details || jsonb_build_object('keys', (SELECT count(*) FROM jsonb_object_keys(details)))",
    "close_reason": "policy || ': heartbeat timeout after ' || (extract(epoch FROM retain) / 3600)::int || 'h'"}$$) \gset
-- What is stored is canonical.
SELECT key, value #>> '{}' AS value FROM cleanup_policies, jsonb_each(set_values) WHERE policy = 'au_timeout' AND key <> 'details';
-- Rows that others reference are no obstacle, and their references do not change.
SELECT eligible_rows, blocked_rows, dependent_rows, row_bytes, strategy, warnings FROM cleanup_dry_run('au_timeout');
SELECT row_data ->> 'status' AS status, new_values - 'closed_at' AS new_values FROM cleanup_preview('au_timeout') ORDER BY (row_data ->> 'id')::int LIMIT 2;
SELECT action, status, rows, dependent_rows, row_bytes, skipped_rows, message FROM cleanup_run('au_timeout');
SELECT status, close_reason, closed_at > now() AT TIME ZONE 'UTC' - interval '1 minute' AS closed_now, details - 'n' AS details, count(*)
  FROM connection GROUP BY 1, 2, 3, 4 ORDER BY 5;
-- The period of the run counts.
SELECT status, rows FROM cleanup_run('au_timeout');
UPDATE connection SET status = 'active' WHERE id = 60;
SELECT status, rows FROM cleanup_run('au_timeout', retain => '50 hours');
SELECT close_reason FROM connection WHERE id = 60;
SELECT details -> 'set_values' ->> 'status' AS status FROM cleanup_audit WHERE event = 'run' AND policy = 'au_timeout' ORDER BY audit_id LIMIT 1;

-- A row that would be due again is an error before anything is committed.
CREATE TABLE note (id int, at timestamptz, body text, due_at timestamptz);
INSERT INTO note SELECT 1, now() - interval '9 days', 'text', now() - interval '1 day';
SELECT cleanup_add_policy('au_again', 'note', 'at', '1 day', action => 'update', set_values => '{"body": "NULL"}') \gset
SELECT warnings FROM cleanup_dry_run('au_again');
SELECT status, rows, message FROM cleanup_run('au_again');
SELECT body FROM note;
SELECT cleanup_alter_policy('au_again', condition => 'body IS NOT NULL');
SELECT warnings FROM cleanup_dry_run('au_again');
SELECT status, rows, message FROM cleanup_run('au_again');
SELECT status, rows, message FROM cleanup_run('au_again');
SELECT body IS NULL AS redacted FROM note;
-- Setting the age to the cutoff, or to now where rows are due at once, is no way out either; the future is.
SELECT cleanup_alter_policy('au_again', clear => '{condition}', set_values => '{"at": "cutoff"}');
SELECT warnings FROM cleanup_dry_run('au_again');
SELECT status, rows FROM cleanup_run('au_again');
SELECT cleanup_alter_policy('au_again', age_column => 'due_at', retain => '0', set_values => '{"due_at": "now()"}');
SELECT status, rows FROM cleanup_run('au_again');
SELECT cleanup_alter_policy('au_again', set_values => '{"due_at": "now() + interval ''1 day''"}');
SELECT status, rows FROM cleanup_run('au_again');
SELECT status, rows FROM cleanup_run('au_again');

-- What cannot be computed is told before it fails, and fails the policy.
SELECT cleanup_alter_policy('au_again', age_column => 'at', retain => '1 day', condition => 'id < 100', set_values => '{"id": "id / (id - 1) + 1000"}');
UPDATE note SET at = '2020-01-01';
SELECT warnings FROM cleanup_dry_run('au_again');
SELECT status, rows, message FROM cleanup_run('au_again');
-- Generated columns and triggers are for the run to see.
CREATE TABLE made (id int, at timestamptz DEFAULT '2020-01-01', body text DEFAULT 'text', size int GENERATED ALWAYS AS (coalesce(length(body), 0)) STORED);
INSERT INTO made SELECT 1;
SELECT cleanup_add_policy('au_made', 'made', 'at', '1 day', condition => 'size > 0', action => 'update', set_values => '{"body": "NULL"}') \gset
SELECT warnings FROM cleanup_dry_run('au_made');
SELECT status, rows FROM cleanup_run('au_made');

-- Where nothing has an age, the run has no cutoff.
CREATE TABLE flag (id int, done boolean, note text);
INSERT INTO flag VALUES (1, false), (2, true);
SELECT cleanup_add_policy('au_flag', 'flag', condition => 'NOT done', action => 'update',
  set_values => $${"done": "true", "note": "coalesce(cutoff::text, 'no cutoff') || coalesce(retain::text, ', no period')"}$$) \gset
SELECT status, rows FROM cleanup_run('au_flag');
SELECT * FROM flag ORDER BY id;

-- Columns that are called like a value of the run are ambiguous until they are qualified; so is a table called run.
CREATE TABLE run (id int, policy text, retain text, at timestamptz);
INSERT INTO run VALUES (1, 'column', NULL, '2020-01-01');
SELECT cleanup_add_policy('au_run', 'run', 'at', '1 day', action => 'update', set_values => '{"retain": "policy"}');
SELECT cleanup_add_policy('au_run', 'run', 'at', '1 day', action => 'update', set_values => '{"retain": "run.policy"}');
SELECT cleanup_add_policy('au_run', 'run', 'at', '1 day', condition => 'run.retain IS NULL', action => 'update',
  set_values => '{"retain": "target.policy || id"}') \gset
SELECT status, rows, message FROM cleanup_run('au_run');
SELECT cleanup_add_policy('au_named', 'flag', condition => 'done', action => 'update', set_values => '{"done": "false", "note": "run.policy"}') \gset
SELECT status, rows, message FROM cleanup_run('au_named');
SELECT * FROM run, flag ORDER BY flag.id;

-- What cannot be set, and how that is said.
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  EXECUTE statement;
  RETURN 'NOT REFUSED';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n  ', state || ' ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END $$;
CREATE FUNCTION set_in(target text, set_values jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT action_update.refused(format('SELECT cleanup_add_policy(%L, %L, %L, %L, action => %L, set_values => %L)', 'au_bad', target, 'at', '1 day', 'update', set_values)) $$;
\pset tuples_only on
\pset format unaligned
CREATE TABLE t (
  id int PRIMARY KEY, other int UNIQUE, at timestamptz, note text, short varchar(3), doubled int GENERATED ALWAYS AS (id * 2) STORED,
  always int GENERATED ALWAYS AS IDENTITY, by_default int GENERATED BY DEFAULT AS IDENTITY
);
CREATE TABLE child (t_id int REFERENCES t, parent int);
CREATE TABLE parted (id int, region text, at timestamptz, note text, PRIMARY KEY (id, region, at)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu') PARTITION BY RANGE (at);
CREATE TABLE parted_eu_1 PARTITION OF parted_eu DEFAULT;
CREATE TABLE ruled (id int, at timestamptz, note text);
CREATE RULE r AS ON UPDATE TO ruled DO INSTEAD NOTHING;
CREATE FUNCTION parting(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE by_expression (at timestamptz, note text, free text) PARTITION BY LIST (parting(note));
-- columns
SELECT set_in('t', '{"nothing": "1"}');
SELECT set_in('t', '{"ctid": "NULL"}');
SELECT set_in('t', '{"xmin": "NULL"}');
SELECT set_in('t', '{"doubled": "1"}');
SELECT set_in('t', '{"always": "1"}');
SELECT set_in('t', '{"id": "1"}');
SELECT set_in('parted', '{"region": "''us''"}');
SELECT set_in('parted', '{"at": "now()"}');
SELECT set_in('parted_eu_1', '{"at": "now()"}');
SELECT set_in('parted_eu_1', '{"region": "''us''"}');
SELECT set_in('by_expression', '{"note": "NULL"}');
SELECT set_in('ruled', '{"note": "NULL"}');
CREATE TABLE parted_child (id int, region text, at timestamptz, FOREIGN KEY (id, region, at) REFERENCES parted);
SELECT set_in('parted', '{"id": "1"}');
SELECT set_in('parted_eu_1', '{"id": "1"}');
-- A key that is computed from the column.
CREATE TABLE computed (at timestamptz, name text, key text GENERATED ALWAYS AS (lower(name)) STORED UNIQUE, note text);
CREATE TABLE computed_child (key text REFERENCES computed (key) ON UPDATE CASCADE);
SELECT set_in('computed', '{"name": "NULL"}');
-- shape
SELECT set_in('t', '{}');
SELECT set_in('t', '[]');
SELECT set_in('t', '"note"');
SELECT set_in('t', 'null');
SELECT set_in('t', '{"note": null}');
SELECT set_in('t', '{"note": 1}');
SELECT set_in('t', '{"note": {"text": "x"}}');
SELECT refused($$SELECT cleanup_add_policy('au_bad', 't', 'at', '1 day', action => 'update')$$);
SELECT refused($$SELECT cleanup_add_policy('au_bad', 't', 'at', '1 day', set_values => '{"note": "NULL"}')$$);
SELECT refused($$SELECT cleanup_add_policy('au_bad', 't', 'at', '1 day', action => 'update', set_values => '{"note": "NULL"}', archive_to => 'attic')$$);
-- expressions
SELECT set_in('t', '{"note": ""}');
SELECT cleanup_add_policy('au_bad', 't', 'at', '1 day', action => 'update', set_values => '{"note": "closed"}');
SELECT set_in('t', '{"note": "''a'', id = 2"}');
SELECT set_in('t', '{"note": "NULL WHERE true"}');
SELECT set_in('t', '{"note": "''a''; DROP TABLE t"}');
SELECT set_in('t', '{"note": "DEFAULT"}');
SELECT set_in('t', '{"note": "$1"}');
SELECT set_in('t', '{"note": "max(note)"}');
SELECT set_in('t', '{"note": "row_number() OVER ()"}');
SELECT set_in('t', '{"note": "unnest(ARRAY[note])"}');
SELECT set_in('t', '{"note": "random()::text"}');
SELECT set_in('t', '{"note": "(SELECT gen_random_uuid())::text"}');
SELECT set_in('t', '{"note": "nextval(''sq'')::text"}');
SELECT set_in('t', '{"at": "''today''"}');
SELECT set_in('t', '{"note": "t::text"}');
SELECT set_in('t', '{"note": "xmin::text"}');
SELECT set_in('t', '{"note": "nobody.note"}');
SELECT set_in('t', '{"note": "run.nothing"}');
SELECT set_in('t', '{"note": "run::text"}');
SELECT set_in('t', '{"by_default": "note"}');
SELECT set_in('t', '{"at": "true"}');
SELECT set_in('t', '{"note": "(SELECT run)::text"}');
-- what fits is coerced as an assignment would be
SELECT set_in('t', '{"note": "id", "other": "1.6", "by_default": "2::bigint", "short": "note"}');
SELECT set_values FROM cleanup_policies WHERE policy = 'au_bad';
-- A foreign key that is added later makes the policy broken.
ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES t (other);
SELECT state, reason FROM cleanup_policy_states('au_bad');

-- Nothing goes along with a row that stays.
SELECT refused($$SELECT cleanup_add_relation('au_again', 'child', '{"id": "t_id"}')$$);
\pset tuples_only off
\pset format aligned
SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies WHERE policy LIKE 'au%';
DROP SCHEMA action_update CASCADE;
