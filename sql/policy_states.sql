-- Policies whose ground moves: broken and unbound, visibly; and how they come back.
CREATE SCHEMA policy_states;
SET search_path = policy_states, public;
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
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FUNCTION is_noise(text) RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT $1 = 'noise' $$;
CREATE FUNCTION same_ish(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT lower($1) = lower($2) $$;
CREATE OPERATOR =~= (LEFTARG = text, RIGHTARG = text, FUNCTION = same_ish);
CREATE TABLE held (event_id int, reason text);
CREATE VIEW kept AS SELECT event_id FROM held WHERE reason = 'court';
CREATE TABLE events (id int, a timestamptz, b timestamptz, kind text, mood mood, unused int);
SELECT count(cleanup_add_policy(policy, 'events', age::name, CASE WHEN age IS NOT NULL THEN interval '1 day' END, condition, guard => guard))
  FROM (VALUES ('age', 'a', NULL, NULL), ('column', NULL, 'kind = ''x''', NULL), ('function', NULL, 'is_noise(kind)', NULL),
               ('operator', NULL, 'kind =~= ''X''', NULL), ('table', NULL, 'id NOT IN (SELECT event_id FROM held)', NULL),
               ('view', NULL, 'id NOT IN (SELECT event_id FROM kept)', NULL), ('enum', NULL, 'mood = ''sad''', NULL),
               ('guard', 'a', NULL, 'is_noise(''noise'')')) v (policy, age, condition, guard);
-- those that are not ready
CREATE VIEW states AS SELECT policy, state, regexp_replace(regexp_replace(reason, '\m\d{5,}\M', 'NNN', 'g'), '\m[0-9a-f]{64}\M', 'SHA256', 'g') AS reason
  FROM cleanup_policy_states() WHERE state <> 'ready';
SELECT * FROM states;

-- What does not concern a policy does not break it.
ALTER TABLE events ADD COLUMN more int, DROP COLUMN unused, ALTER COLUMN id SET NOT NULL;
CREATE INDEX ON events (a);
ALTER TABLE held ADD COLUMN more int;
ALTER TYPE mood ADD VALUE 'angry';
CREATE OR REPLACE FUNCTION is_noise(text) RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT $1 = 'noise' $$;
VACUUM FULL events;
TRUNCATE held;
SELECT * FROM states;

-- What does, does: nothing is bound anew silently. Each change is undone.
CREATE FUNCTION after(change text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  lines text[];
BEGIN
  BEGIN
    EXECUTE change;
    SELECT array_agg(concat_ws(' ', s.policy, s.state, s.reason)) INTO lines FROM policy_states.states s;
    RAISE EXCEPTION 'undo' USING errcode = 'P0099';
  EXCEPTION WHEN SQLSTATE 'P0099' THEN
  END;
  RETURN QUERY SELECT unnest(lines);
END $$;
\pset tuples_only on
\pset format unaligned
SELECT after('ALTER TABLE events RENAME COLUMN a TO c');
SELECT after('ALTER TABLE events RENAME COLUMN a TO c; ALTER TABLE events RENAME COLUMN b TO a; ALTER TABLE events RENAME COLUMN c TO b');
SELECT after('ALTER TABLE events ALTER COLUMN a TYPE date');
SELECT after('ALTER TABLE events ALTER COLUMN a TYPE text');
SELECT after('ALTER TABLE events DROP COLUMN a');
SELECT after('ALTER TABLE events DROP COLUMN a; ALTER TABLE events ADD COLUMN a timestamptz');
SELECT after('ALTER TABLE events ALTER COLUMN kind TYPE text COLLATE "C"');
SELECT after('ALTER TABLE events ALTER COLUMN kind TYPE varchar(10)');
SELECT after($$CREATE OR REPLACE FUNCTION is_noise(text) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT true'$$);
SELECT after('ALTER FUNCTION is_noise(text) VOLATILE');
SELECT after('ALTER FUNCTION is_noise(text) STRICT');
SELECT after('ALTER FUNCTION is_noise(text) RENAME TO was_noise');
SELECT after('DROP FUNCTION is_noise(text)');
SELECT after($$CREATE OR REPLACE FUNCTION same_ish(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'$$);
SELECT after($$DROP OPERATOR =~= (text, text); CREATE FUNCTION yes(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
  CREATE OPERATOR =~= (LEFTARG = text, RIGHTARG = text, FUNCTION = yes)$$);
SELECT after('ALTER TABLE held RENAME TO holds');
SELECT after('DROP TABLE held CASCADE; CREATE TABLE held (event_id int)');
SELECT after($$CREATE OR REPLACE VIEW kept AS SELECT event_id FROM held WHERE reason = 'none'$$);
SELECT after('ALTER TYPE mood RENAME VALUE ''sad'' TO ''blue''');
SELECT after('ALTER TYPE mood RENAME VALUE ''sad'' TO ''x''; ALTER TYPE mood RENAME VALUE ''happy'' TO ''sad''');
SELECT after('CREATE RULE r AS ON DELETE TO events DO INSTEAD NOTHING');

-- A renamed table is the same table; one that was dropped is gone, whatever comes to have its name.
SELECT after('ALTER TABLE events RENAME TO happenings');
SELECT after('CREATE SCHEMA policy_states_2; ALTER TABLE events SET SCHEMA policy_states_2');
SELECT after('DROP TABLE events CASCADE');
SELECT after('ALTER TABLE events RENAME TO was; CREATE TABLE events (id int, a timestamptz, b timestamptz, kind text, mood mood)');
\pset tuples_only off
\pset format aligned
DELETE FROM cleanup_policies WHERE policy NOT IN ('age', 'column');
DROP TABLE events;
CREATE TABLE events (id int, a timestamptz, b timestamptz, kind text);
SELECT * FROM states;
SELECT policy, target, target::regclass IS NULL AS gone FROM cleanup_policies ORDER BY 1;

-- A policy that cannot run can be switched off and described, and stays as it is.
UPDATE cleanup_policies SET enabled = false, description = 'broken', priority = 7, batch_size = 10 WHERE policy = 'age';
SELECT cleanup_alter_policy('column', enabled => false);
SELECT * FROM states;
UPDATE cleanup_policies SET enabled = true;
SELECT refused($$UPDATE cleanup_policies SET retain = '2 days' WHERE policy = 'age'$$);
SELECT refused($$SELECT cleanup_alter_policy('age', retain => '2 days')$$);
SELECT refused($$SELECT cleanup_alter_policy('age')$$);

-- Somebody says what is meant, and it is bound anew.
SELECT cleanup_alter_policy('age', target => 'events');
UPDATE cleanup_policies SET target = 'events'::regclass WHERE policy = 'column';
SELECT * FROM states;
ALTER TABLE events RENAME COLUMN a TO created_at;
SELECT * FROM states;
SELECT cleanup_alter_policy('age', priority => 8);
SELECT * FROM states;
SELECT cleanup_alter_policy('age', age_column => 'created_at');
SELECT * FROM states;
ALTER TABLE events ALTER COLUMN created_at TYPE date;
SELECT * FROM states;
SELECT cleanup_alter_policy('age');
SELECT * FROM states;

-- Inserted by hand before its table is there, as a dump does: bound when the table comes.
INSERT INTO cleanup_policies (policy, target, age_column, retain) VALUES ('early', 'policy_states.later', 'at', '1 day');
SELECT * FROM states;
CREATE TABLE later (at text);
SELECT * FROM states;
DROP TABLE later;
CREATE TABLE later (at timestamptz);
SELECT policy, state, reason FROM cleanup_policy_states('early');

-- What a hand inserts is kept even if it cannot run, so that every dump can be loaded.
INSERT INTO cleanup_policies (policy, target, condition) VALUES ('strange', 'later', 'no_function(at)');
SELECT * FROM states;

-- More than the owner of a target may do by hand is for nobody.
CREATE ROLE policy_states_eve;
GRANT USAGE, CREATE ON SCHEMA policy_states TO policy_states_eve;
GRANT ALL ON cleanup_policies TO policy_states_eve;
GRANT EXECUTE ON FUNCTION cleanup_sees_every_policy, cleanup_visible_policies TO policy_states_eve;
SET ROLE policy_states_eve;
WITH changed AS (UPDATE cleanup_policies SET enabled = false WHERE policy = 'age' RETURNING 1) SELECT count(*) AS changed FROM changed;
WITH dropped AS (DELETE FROM cleanup_policies WHERE policy = 'age' RETURNING 1) SELECT count(*) AS dropped FROM dropped;
SELECT policy_states.refused($$INSERT INTO cleanup_policies (policy, target, age_column, retain) VALUES ('eve', 'events', 'created_at', '1 day')$$);
SELECT policy_states.refused($$INSERT INTO cleanup_policies (policy, target, age_column, retain) VALUES ('eve', 'public.to_come', 'created_at', '1 day')$$);
CREATE TABLE eves (at timestamptz);
INSERT INTO cleanup_policies (policy, target, age_column, retain) VALUES ('eve', 'eves', 'at', '1 day');
SELECT policy_states.refused($$UPDATE cleanup_policies SET target = 'events' WHERE policy = 'eve'$$);
RESET ROLE;
SELECT policy, state FROM cleanup_policy_states('eve');

-- An UPDATE by hand is judged like the function.
SELECT refused($$UPDATE cleanup_policies SET retain = '30' WHERE policy = 'age'$$);
SELECT refused($$UPDATE cleanup_policies SET retain = NULL WHERE policy = 'age'$$);
SELECT refused($$UPDATE cleanup_policies SET condition = 'random() > 0.5' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET policy = '*' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET policy = 'age' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET target = 'kept' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET target = 'nowhere' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET target = 'no.where' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET policy_id = policy_id + 100 WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET created_by = 'me' WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET action = NULL WHERE policy = 'column'$$);
SELECT refused($$UPDATE cleanup_policies SET batch_size = 0 WHERE policy = 'column'$$);
UPDATE cleanup_policies SET condition = 'kind IN (''x'', ''y'')', policy = 'renamed' WHERE policy = 'column';
SELECT policy, condition FROM cleanup_policies WHERE policy = 'renamed';
SELECT policy, state, reason FROM cleanup_policy_states('renamed');

SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
DROP OWNED BY policy_states_eve;
DROP ROLE policy_states_eve;
DROP SCHEMA policy_states CASCADE;
