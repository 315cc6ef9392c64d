-- Declaring, changing and removing policies: what a user types and sees.
CREATE SCHEMA policies;
SET search_path = policies, public;
SET TimeZone = 'UTC';

CREATE TABLE events (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, kind text);
SELECT cleanup_add_policy('old_events', 'events', 'created_at', '30 days') > 0 AS added;
SELECT policy, target, age_column, retain, condition, action, on_reference, time_zone, priority, enabled, created_by = current_user AS mine
  FROM cleanup_policies;
SELECT * FROM cleanup_policy_states();

-- Every age type, domains over them too.
CREATE DOMAIN happened AS timestamptz;
CREATE TABLE ages (d date, t timestamp, tz timestamptz, i int, b bigint, u uuid, h happened, "Quoted ""Column" timestamptz);
SET client_min_messages = warning;
SELECT count(cleanup_add_policy(concat_ws(' ', 'age', age, unit), 'ages', age::name, '1 year', age_unit => unit))
  FROM (VALUES ('d', NULL), ('t', NULL), ('tz', NULL), ('i', NULL), ('i', 's'), ('b', 's'), ('b', 'ms'), ('b', 'us'), ('b', 'ns'),
               ('u', NULL), ('h', NULL), ('Quoted "Column', NULL)) ages (age, unit);
SELECT s.policy, p.age_column, p.age_unit, s.state, s.reason
  FROM cleanup_policy_states() s JOIN cleanup_policies p USING (policy) WHERE s.policy LIKE 'age %' ORDER BY s.policy COLLATE "C";

-- A period of nought, for columns that say when a row expires; none, with a condition; a guard.
SELECT cleanup_add_policy('expired', 'ages', 'tz', '0') > 0 AS added;
SELECT cleanup_add_policy('by condition', 'events', condition => $$kind = 'noise'$$) > 0 AS added;
SELECT cleanup_add_policy('guarded', 'events', 'created_at', '1 day', guard => 'EXISTS (SELECT FROM ages)', batch_size => 500,
  refuse_above_rows => 1000, refuse_above_fraction => 0.5, time_zone => 'Europe/Berlin', priority => -5, enabled => false,
  description => 'three words here') > 0 AS added;
SELECT policy, retain, condition, guard, batch_size, refuse_above_rows, refuse_above_fraction, time_zone, priority, enabled, description
  FROM cleanup_policies WHERE policy IN ('expired', 'by condition', 'guarded') ORDER BY 1;

-- Only what is given changes; clear sets to NULL.
SELECT cleanup_alter_policy('guarded', retain => '2 days', enabled => true);
SELECT cleanup_alter_policy('guarded', clear => '{guard,batch_size,description}', refuse_above_rows => 7);
SELECT cleanup_alter_policy('by condition', age_column => 'created_at', retain => '1 mon 3 days', clear => '{condition}');
SELECT policy, age_column, retain, condition, guard, batch_size, refuse_above_rows, refuse_above_fraction, enabled, description
  FROM cleanup_policies WHERE policy IN ('by condition', 'guarded') ORDER BY 1;
SELECT cleanup_alter_policy('guarded', target => 'ages', age_column => 'tz');
SELECT policy, target, age_column FROM cleanup_policies WHERE policy = 'guarded';

-- A renamed table keeps its policy.
ALTER TABLE events RENAME TO "Happenings";
SELECT policy, target, state FROM cleanup_policy_states('old_events');
ALTER TABLE "Happenings" RENAME TO events;

-- By priority, then what references before what is referenced (also through tables between), then name.
SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
CREATE TABLE customers (id int PRIMARY KEY, at timestamptz);
CREATE TABLE orders (id int PRIMARY KEY, at timestamptz, customer int REFERENCES customers);
CREATE TABLE items (id int PRIMARY KEY, at timestamptz, ordered int REFERENCES orders);
CREATE TABLE tree (id int PRIMARY KEY, at timestamptz, parent int REFERENCES tree);
CREATE TABLE hen (id int PRIMARY KEY, at timestamptz);
CREATE TABLE egg (id int PRIMARY KEY, at timestamptz, hen int REFERENCES hen);
ALTER TABLE hen ADD COLUMN egg int REFERENCES egg;
SELECT count(cleanup_add_policy(policy, target::regclass, 'at', '1 day', priority => priority))
  FROM (VALUES ('a customers', 'customers', 100), ('z items', 'items', 100), ('m tree', 'tree', 100), ('last', 'items', 200),
               ('first', 'customers', -1), ('hen', 'hen', 100), ('egg', 'egg', 100)) v (policy, target, priority);
SELECT policy FROM cleanup_policy_states();

-- What is done to policies is audited, in the name of who did it.
SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
SELECT cleanup_add_policy('audited', 'events', 'created_at', '1 day', condition => 'id > 5') > 0 AS added;
SELECT cleanup_alter_policy('audited', retain => '2 days');
UPDATE cleanup_policies SET enabled = false WHERE policy = 'audited';
UPDATE cleanup_policies SET enabled = false WHERE policy = 'audited';
SELECT cleanup_drop_policy('audited');
SELECT event, policy, target, actor = current_user AS by_me, wal_lsn IS NOT NULL AS has_lsn,
       details -> 'old' ->> 'retain' AS old_retain, details -> 'new' ->> 'retain' AS new_retain,
       details -> 'old' -> 'enabled' AS old_enabled, details -> 'new' -> 'enabled' AS new_enabled
  FROM cleanup_audit WHERE policy = 'audited' ORDER BY audit_id;

-- A role without superuser that was granted the functions makes policies on its own tables, and on those of roles it is in.
RESET client_min_messages;
CREATE ROLE policies_team;
CREATE ROLE policies_anna IN ROLE policies_team;
CREATE ROLE policies_eve;
GRANT USAGE, CREATE ON SCHEMA policies TO policies_team, policies_eve;
GRANT EXECUTE ON FUNCTION cleanup_add_policy, cleanup_alter_policy, cleanup_drop_policy, cleanup_policy_states, cleanup_export_policies,
  cleanup_import_policies, cleanup_sees_every_policy, cleanup_visible_policies TO policies_anna, policies_eve;
SET ROLE policies_eve;
CREATE TABLE eves (id int, at timestamptz);
SET ROLE policies_team;
CREATE TABLE teams (id int, at timestamptz, kind text);
SET ROLE policies_anna;
SELECT cleanup_add_policy('teams', 'teams', 'at', '1 day', condition => $$kind = 'x'$$) > 0 AS added;
SELECT cleanup_alter_policy('teams', retain => '2 days');
SELECT * FROM cleanup_policy_states();
SELECT cleanup_add_policy('eves', 'eves', 'at', '1 day');
SELECT cleanup_add_policy('eves', 'events', 'created_at', '1 day');
SELECT count(*) FROM cleanup_policies;
SET ROLE policies_eve;
SELECT * FROM cleanup_policy_states();
SELECT cleanup_alter_policy('teams', retain => '2 days');
SELECT cleanup_drop_policy('teams');
SELECT cleanup_alter_policy('team', retain => '2 days');
SELECT cleanup_export_policies();
SET ROLE policies_anna;
SELECT cleanup_drop_policy('teams');
RESET ROLE;
SELECT event, actor FROM cleanup_audit WHERE policy = 'teams' ORDER BY audit_id;

-- Code of the owner that reading a condition runs (here: an input function that checks a domain) runs as the owner, restricted,
-- whoever looks.
SET ROLE policies_eve;
CREATE FUNCTION only_as_eve(int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'policies_eve' THEN RAISE 'runs as %', current_user; END IF;
  RESET ROLE; -- refused where it is restricted
  RAISE 'not restricted';
EXCEPTION WHEN insufficient_privilege THEN
  RETURN true;
END $$;
CREATE DOMAIN checked AS int CHECK (policies.only_as_eve(value));
CREATE TYPE holder AS (value checked);
ALTER TABLE eves ADD COLUMN holder holder;
RESET ROLE;
SELECT cleanup_add_policy('eves', 'eves', condition => $$holder = '(5)'::policies.holder$$) > 0 AS added;
SELECT policy, state, reason FROM cleanup_policy_states();
UPDATE cleanup_policies SET condition = $$holder = '(6)'::policies.holder$$;
SELECT cleanup_import_policies(cleanup_export_policies(), true);
SELECT cleanup_alter_policy('eves', age_column => 'at', retain => '1 day');
SELECT cleanup_drop_policy('eves');

-- The audit is append-only for everyone but its owner, whatever is granted and set.
GRANT ALL ON cleanup_audit TO policies_eve;
SET session_replication_role = replica;
SET ROLE policies_eve;
UPDATE cleanup_audit SET event = 'nothing';
DELETE FROM cleanup_audit;
TRUNCATE cleanup_audit;
RESET ROLE;
RESET session_replication_role;
REVOKE ALL ON cleanup_audit FROM policies_eve;

-- Nothing is granted to PUBLIC.
SELECT d.classid::regclass, d.objid FROM pg_depend d
  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pg_cleanup'
 WHERE d.deptype = 'e' AND (d.classid = 'pg_proc'::regclass AND has_function_privilege('public', d.objid, 'EXECUTE')
    OR d.classid = 'pg_class'::regclass AND has_table_privilege('public', d.objid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'));

-- Every function has a comment, and every setting says what it is.
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pg_cleanup'
 WHERE obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1;
SELECT name, setting, unit, context, short_desc FROM pg_settings
 WHERE name IN ('pg_cleanup.batch_target_ms', 'pg_cleanup.lock_timeout', 'pg_cleanup.cancel_grace', 'pg_cleanup.history_retain',
                'pg_cleanup.large_table_rows', 'pg_cleanup.max_failing_rows') ORDER BY name COLLATE "C";

SET client_min_messages = warning;
DROP SCHEMA policies CASCADE;
DROP OWNED BY policies_team, policies_anna, policies_eve;
DROP ROLE policies_team, policies_anna, policies_eve;
