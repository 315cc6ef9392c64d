-- What cannot be a policy, and how that is said.
CREATE SCHEMA bad_policies;
SET search_path = bad_policies, public;
SET TimeZone = 'UTC';

-- Runs a statement that must be refused, and shows the error as a user meets it.
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

SET client_min_messages = warning;
\pset tuples_only on
\pset format unaligned
CREATE TABLE t (id int, at timestamptz, d date, ts timestamp, s smallint, i int, b bigint, f float8, n numeric, x text, u uuid, iv interval);
CREATE FUNCTION add(arguments text) RETURNS text LANGUAGE sql AS $$ SELECT bad_policies.refused('SELECT cleanup_add_policy(' || arguments || ')') $$;

-- the name
SELECT add($$NULL, 't', 'at', '1 day'$$);
SELECT add($$'', 't', 'at', '1 day'$$);
SELECT add($$'*', 't', 'at', '1 day'$$);
SELECT add($$repeat('x', 64), 't', 'at', '1 day'$$);
SELECT add($$repeat('ü', 32), 't', 'at', '1 day'$$);
SELECT cleanup_add_policy(repeat('x', 63), 't', 'at', '1 day') > 0;
SELECT add($$repeat('x', 63), 't', 'at', '1 day'$$);
SELECT refused($$SELECT cleanup_alter_policy(NULL, retain => '1 day')$$);
SELECT refused($$SELECT cleanup_alter_policy('nobody', retain => '1 day')$$);
SELECT refused($$SELECT cleanup_alter_policy(repeat('x', 62), retain => '1 day')$$);
SELECT refused($$SELECT cleanup_drop_policy('*')$$);
SELECT refused($$SELECT cleanup_drop_policy(NULL)$$);

-- the target
CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE SEQUENCE sq;
CREATE INDEX t_at ON t (at);
CREATE TYPE composite AS (at timestamptz);
CREATE TEMP TABLE tmp (at timestamptz);
CREATE UNLOGGED TABLE unlogged (at timestamptz);
CREATE TABLE ruled (at timestamptz);
CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE TABLE only_update_ruled (at timestamptz);
CREATE RULE r AS ON UPDATE TO only_update_ruled DO INSTEAD NOTHING;
CREATE FOREIGN DATA WRAPPER bad_policies_wrapper;
CREATE SERVER bad_policies_server FOREIGN DATA WRAPPER bad_policies_wrapper;
CREATE FOREIGN TABLE ft (at timestamptz) SERVER bad_policies_server;
CREATE TABLE parted (id int, at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE ACCESS METHOD bad_policies_am TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE other_am (at timestamptz) USING bad_policies_am;
SELECT add($$'p', NULL, 'at', '1 day'$$);
SELECT add($$'p', 'nowhere', 'at', '1 day'$$);
SELECT add($$'p', 4000000000, 'at', '1 day'$$);
SELECT add($$'p', 'v', 'at', '1 day'$$);
SELECT add($$'p', 'm', 'at', '1 day'$$);
SELECT add($$'p', 'ft', 'at', '1 day'$$);
SELECT add($$'p', 'sq', 'at', '1 day'$$);
SELECT add($$'p', 't_at', 'at', '1 day'$$);
SELECT add($$'p', 'composite', 'at', '1 day'$$);
SELECT regexp_replace(add(format('%L, %s, %L, %L', 'p', reltoastrelid, 'at', '1 day')), '\d{5,}', 'NNN', 'g') FROM pg_class WHERE oid = 't'::regclass;
SELECT add($$'p', 'tmp', 'at', '1 day'$$) LIKE '42809 cannot make a policy on pg_temp%';
SELECT add($$'p', 'other_am', 'at', '1 day'$$);
SELECT add($$'p', 'ruled', 'at', '1 day'$$);
SELECT add($$'p', 'pg_class', 'at', '1 day'$$);
SELECT add($$'p', 'information_schema.sql_features', 'at', '1 day'$$);
SELECT add($$'p', 'public.cleanup_audit', 'at', '1 year'$$);
SELECT cleanup_add_policy('unlogged', 'unlogged', 'at', '1 day') > 0, cleanup_add_policy('only_update_ruled', 'only_update_ruled', 'at', '1 day') > 0,
       cleanup_add_policy('parted', 'parted', 'at', '1 day') > 0, cleanup_add_policy('parted_1', 'parted_1', 'at', '1 day') > 0;
CREATE FOREIGN TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20) SERVER bad_policies_server;
SELECT add($$'p', 'parted', 'at', '1 day'$$);
-- a partition that belongs to somebody else, whose triggers would run as the root's owner
CREATE ROLE bad_policies_owner;
CREATE TABLE shared (id int, at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE shared_1 PARTITION OF shared FOR VALUES FROM (0) TO (10);
SELECT cleanup_add_policy('shared', 'shared', 'at', '1 day') > 0;
ALTER TABLE shared_1 OWNER TO bad_policies_owner;
SELECT regexp_replace(add($$'p', 'shared', 'at', '1 day'$$), '(table to role|OWNER TO) \w+', '\1 ...', 'g');
SELECT state, regexp_replace(reason, '(table to role) \w+', '\1 ...') FROM cleanup_policy_states() WHERE policy = 'shared';
SELECT cleanup_drop_policy('shared');
DROP TABLE shared;
-- row security that hides rows from the owner
CREATE TABLE secured (at timestamptz);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT cleanup_add_policy('superuser passes', 'secured', 'at', '1 day') > 0;
GRANT USAGE, CREATE ON SCHEMA bad_policies TO bad_policies_owner;
ALTER TABLE secured OWNER TO bad_policies_owner;
SELECT add($$'p', 'secured', 'at', '1 day'$$);
ALTER TABLE secured NO FORCE ROW LEVEL SECURITY;
SELECT cleanup_add_policy('secured', 'secured', 'at', '1 day') > 0;

-- what is due
SELECT add($$'p', 't'$$);
SELECT add($$'p', 't', 'at'$$);
SELECT add($$'p', 't', retain => '1 day'$$);
SELECT add($$'p', 't', age_unit => 's', condition => 'true'$$);
SELECT add($$'p', 't', 'nosuch', '1 day'$$);
SELECT add($$'p', 't', 'ctid', '1 day'$$);
SELECT add($$'p', 't', 's', '1 day'$$);
SELECT add($$'p', 't', 'f', '1 day'$$);
SELECT add($$'p', 't', 'n', '1 day'$$);
SELECT add($$'p', 't', 'x', '1 day'$$);
SELECT add($$'p', 't', 'iv', '1 day'$$);
SELECT add($$'p', 't', 'at', '1 day', age_unit => 's'$$);
SELECT add($$'p', 't', 'u', '1 day', age_unit => 'ms'$$);
SELECT add($$'p', 't', 'b', '1 day'$$);
SELECT add($$'p', 't', 'b', '1 day', age_unit => 'minutes'$$);
SELECT add($$'p', 't', 'i', '1 day', age_unit => 'ms'$$);
SELECT add($$'p', 't', 'i', '1 day', age_unit => 'S'$$);

-- how long
SELECT add($$'p', 't', 'at', '-1 day'$$);
SELECT add($$'p', 't', 'at', '1 month -3 days'$$);
SELECT add($$'p', 't', 'at', '30'$$);
SELECT add($$'p', 't', 'at', '59 minutes 59.999999 seconds'$$);
SELECT add($$'p', 't', 'at', '5000 years'$$);
SELECT add($$'p', 't', 'at', 'soon'$$);
SET IntervalStyle = 'iso_8601';
SELECT add($$'p', 't', 'at', 'PT30M'$$);
RESET IntervalStyle;

-- a unit under which the newest row is from before 1990
CREATE TABLE counted (b bigint, i int);
INSERT INTO counted SELECT extract(epoch FROM now()) + n, 3600 * n FROM generate_series(1, 5000) n;
SELECT regexp_replace(add($$'p', 'counted', 'b', '1 day', age_unit => 'ms'$$), '\d{10}', 'NNN');
SELECT regexp_replace(add($$'p', 'counted', 'b', '1 day', age_unit => 'ns'$$), '\d{10}', 'NNN');
SELECT add($$'p', 'counted', 'i', '1 day'$$);
-- the first thousand rows of a table without an index say nothing here; an index finds the newest
TRUNCATE counted;
INSERT INTO counted SELECT 0 FROM generate_series(1, 5000);
INSERT INTO counted SELECT extract(epoch FROM now());
CREATE INDEX ON counted (b);
SELECT regexp_replace(add($$'p', 'counted', 'b', '1 day', age_unit => 'us'$$), '\d{10}', 'NNN');
SELECT cleanup_add_policy('counted', 'counted', 'b', '1 day', age_unit => 's') > 0;
SELECT refused($$SELECT cleanup_alter_policy('counted', age_unit => 'ms')$$) LIKE '22023 with this age_unit the newest row of bad_policies.counted would be from before 1990%';

-- choices and numbers
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_to => 'a.b.c'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_to => 't'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_to => ''$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_to => 'nowhere.t'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_retain => '30'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_retain => '0'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'archive', archive_retain => '-1 days'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'files'$$);
SELECT add($$'p', 't', 'at', '1 day', action => 'truncate'$$);
SELECT add($$'p', 't', 'at', '1 day', set_values => '{}'$$);
SELECT add($$'p', 't', 'at', '1 day', archive_to => 'old_t'$$);
SELECT add($$'p', 't', 'at', '1 day', on_reference => 'panic'$$);
SELECT add($$'p', 't', 'at', '1 day', batch_size => 0$$);
SELECT add($$'p', 't', 'at', '1 day', batch_size => 1000001$$);
SELECT add($$'p', 't', 'at', '1 day', refuse_above_rows => 0$$);
SELECT add($$'p', 't', 'at', '1 day', refuse_above_fraction => 0$$);
SELECT add($$'p', 't', 'at', '1 day', refuse_above_fraction => 1.01$$);
SELECT add($$'p', 't', 'at', '1 day', refuse_above_fraction => 'NaN'$$);
SELECT add($$'p', 't', 'at', '1 day', time_zone => 'Mars/Olympus'$$);
SELECT add($$'p', 't', 'at', '1 day', time_zone => ''$$);

-- altering
SELECT refused($$SELECT cleanup_alter_policy('counted', clear => '{policy}')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', clear => '{NULL}')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', clear => '{retain}', retain => '1 day')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', clear => '{retain}')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', clear => '{age_unit}')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', clear => '{retain,age_column,age_unit}')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', target => 'v')$$);
SELECT refused($$SELECT cleanup_alter_policy('counted', batch_size => -1)$$);

-- Nothing of all this was stored.
SELECT policy FROM cleanup_policies WHERE policy = 'p';

\pset tuples_only off
\pset format aligned
SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
DROP SCHEMA bad_policies CASCADE;
DROP ACCESS METHOD bad_policies_am;
DROP SERVER bad_policies_server;
DROP FOREIGN DATA WRAPPER bad_policies_wrapper;
DROP ROLE bad_policies_owner;
