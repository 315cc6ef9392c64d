-- Each warning of a dry run, and that it goes away when what it says is done.
CREATE SCHEMA warn;
SET search_path = warn, public;
SET client_min_messages = warning;
CREATE VIEW warned AS
  SELECT p.policy, w AS warning FROM cleanup_policies p, cleanup_dry_run(p.policy) d, unnest(d.warnings) w
  WHERE p.policy LIKE 'wn\_%' ORDER BY p.policy_id;

CREATE TABLE quiet (id int PRIMARY KEY, at timestamptz);
SELECT cleanup_add_policy('wn_quiet', 'quiet', 'at', '1 day') \gset
SELECT * FROM warned;

-- Disabled; the guard; the breaker; another policy on the table.
INSERT INTO quiet SELECT g, now() - interval '2 days' FROM generate_series(1, 10) g;
CREATE TABLE switch AS SELECT true AS is_on;
SELECT cleanup_alter_policy('wn_quiet', enabled => false, guard => '(SELECT is_on FROM warn.switch)', refuse_above_rows => 9) \gset
SELECT * FROM warned;
UPDATE switch SET is_on = false;
SELECT cleanup_alter_policy('wn_quiet', enabled => true, refuse_above_fraction => 0.5, clear => '{refuse_above_rows}') \gset
SELECT * FROM warned;
UPDATE switch SET is_on = NULL;
INSERT INTO quiet SELECT g, now() FROM generate_series(11, 30) g;
SELECT * FROM warned;
INSERT INTO switch VALUES (true);
SELECT * FROM warned;
SELECT cleanup_alter_policy('wn_quiet', clear => '{guard}') \gset
SELECT cleanup_add_policy('wn_same', 'quiet', condition => 'id = 1') \gset
SELECT * FROM warned;
SELECT cleanup_drop_policy('wn_same') \gset
SELECT cleanup_drop_policy('wn_quiet') \gset

-- No index on the age of a large table; BRIN is one, a partial one is not.
CREATE TABLE large (id int PRIMARY KEY, "When" timestamptz);
INSERT INTO large SELECT g, now() FROM generate_series(1, 2000) g;
ANALYZE large;
SELECT cleanup_add_policy('wn_large', 'large', 'When', '1 day') \gset
SELECT * FROM warned;
-- The worker's setting counts, not the session's.
SELECT format('ALTER DATABASE %I SET pg_cleanup.large_table_rows = 1000', current_database()) AS set, format('ALTER DATABASE %I RESET pg_cleanup.large_table_rows', current_database()) AS reset \gset
:set;
SELECT * FROM warned;
CREATE INDEX partial ON large ("When") WHERE id > 1000;
SELECT * FROM warned;
DROP INDEX partial;
CREATE INDEX ON large USING brin ("When");
SELECT * FROM warned;
:reset;
SELECT cleanup_drop_policy('wn_large') \gset

-- Referencing columns without an index.
CREATE TABLE parent (id int, code int, at timestamptz, PRIMARY KEY (id, code));
CREATE TABLE child (id int PRIMARY KEY, parent_id int, parent_code int, FOREIGN KEY (parent_id, parent_code) REFERENCES parent ON DELETE CASCADE);
CREATE TABLE grandchild (child_id int REFERENCES child) PARTITION BY RANGE (child_id);
CREATE TABLE grandchild_1 PARTITION OF grandchild FOR VALUES FROM (0) TO (10);
CREATE TABLE grandchild_2 PARTITION OF grandchild FOR VALUES FROM (10) TO (20);
SELECT cleanup_add_policy('wn_parent', 'parent', 'at', '1 day') \gset
SELECT policy, regexp_replace(warning, 'about \d+', 'about N') FROM warned;
CREATE INDEX ON child (parent_id);
CREATE INDEX ON grandchild_1 (child_id);
SELECT policy, regexp_replace(warning, 'about \d+', 'about N') FROM warned;
CREATE INDEX ON child (parent_code, parent_id, id);
CREATE INDEX ON grandchild_2 (child_id) WHERE child_id IS NOT NULL;
SELECT * FROM warned;

-- Triggers that will fire, on what goes along too; copies in partitions are named once.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER on_row BEFORE DELETE ON parent FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER on_statement AFTER DELETE OR INSERT ON child EXECUTE FUNCTION nothing();
CREATE TRIGGER on_insert AFTER INSERT ON parent EXECUTE FUNCTION nothing();
CREATE TRIGGER is_off AFTER DELETE ON parent FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE parent DISABLE TRIGGER is_off;
CREATE TABLE nulled (id int REFERENCES child ON DELETE SET NULL);
CREATE INDEX ON nulled (id);
CREATE TRIGGER on_update AFTER UPDATE ON nulled FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT * FROM warned;
DROP TABLE nulled;
DROP TRIGGER on_row ON parent;
DROP TRIGGER on_statement ON child;

-- Other roles' code on a superuser's table.
CREATE ROLE warn_other;
GRANT TRIGGER ON parent TO warn_other;
ALTER FUNCTION nothing() OWNER TO warn_other;
CREATE TRIGGER theirs AFTER DELETE ON parent FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT policy, replace(warning, quote_ident(current_user), 'ME') FROM warned;
DROP TRIGGER theirs ON parent;
REVOKE ALL ON parent FROM warn_other;

-- Another owner's dependents.
ALTER TABLE child OWNER TO warn_other;
SELECT policy, replace(warning, quote_ident(current_user), 'ME') FROM warned;
ALTER TABLE child OWNER TO CURRENT_USER;
SELECT cleanup_drop_policy('wn_parent') \gset

-- Unlogged.
CREATE UNLOGGED TABLE unlogged (at timestamptz);
SELECT cleanup_add_policy('wn_unlogged', 'unlogged', 'at', '1 day') \gset
SELECT * FROM warned;
ALTER TABLE unlogged SET LOGGED;
SELECT * FROM warned;

-- Published without a replica identity, or with a filter outside it.
CREATE PUBLICATION warn_all FOR TABLE unlogged;
SELECT * FROM warned;
ALTER PUBLICATION warn_all SET (publish = 'insert');
SELECT * FROM warned;
DROP PUBLICATION warn_all;
ALTER TABLE unlogged ADD id int PRIMARY KEY, ADD kind text;
CREATE PUBLICATION warn_filter FOR TABLE unlogged WHERE (kind = 'a');
SELECT * FROM warned;
ALTER TABLE unlogged REPLICA IDENTITY FULL;
SELECT * FROM warned;
DROP PUBLICATION warn_filter;

SELECT cleanup_drop_policy('wn_unlogged') \gset
DROP SCHEMA warn CASCADE;
DROP ROLE warn_other;
