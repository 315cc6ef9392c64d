-- Foreign keys: what blocks a row, and what goes or changes along, by dry run. (test_reference_model.py compares random
-- ones with what PostgreSQL does.)
CREATE SCHEMA refs;
SET search_path = refs, public;
SET client_min_messages = warning;

-- Rows 1 to 6 are due, 7 to 10 are not.
CREATE FUNCTION fill(VARIADIC tables regclass[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t regclass;
BEGIN
  FOREACH t IN ARRAY tables LOOP
    EXECUTE format('INSERT INTO %s (id, at) SELECT g, now() - CASE WHEN g <= 6 THEN 40 ELSE 1 END * interval ''1 day'' FROM generate_series(1, 10) g', t);
  END LOOP;
END $$;
-- A dry run sees what is committed, so policies are made first.
CREATE VIEW seen AS
  SELECT substr(d.policy, 6) AS target, eligible_rows AS eligible, blocked_rows AS blocked, dependent_rows AS dependent,
    (SELECT substring(w FROM 'reference (?:it|them): (.*)\. Delete') FROM unnest(warnings) w WHERE w LIKE '%eligible row% stay%') AS blocked_by
  FROM cleanup_policies p, cleanup_dry_run(p.policy) d WHERE p.policy LIKE 'refs\_%' ORDER BY p.policy_id;

-- One key of each kind.
CREATE TABLE parent (id int PRIMARY KEY, at timestamptz);
CREATE TABLE no_action (id int PRIMARY KEY, parent_id int REFERENCES parent);
CREATE TABLE restricted (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE RESTRICT);
CREATE TABLE deferred (id int PRIMARY KEY, parent_id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE cascaded (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE);
CREATE TABLE grandchild (id int PRIMARY KEY, cascaded_id int REFERENCES cascaded ON DELETE CASCADE);
CREATE TABLE nulled (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE SET NULL);
CREATE TABLE defaulted (id int PRIMARY KEY, parent_id int DEFAULT 10 REFERENCES parent ON DELETE SET DEFAULT);
SELECT fill('parent');
SELECT cleanup_add_policy('refs_parent', 'parent', 'at', '30 days') \gset
SELECT * FROM seen;
INSERT INTO no_action VALUES (1, 1), (2, 1), (3, 8), (4, NULL);
INSERT INTO restricted VALUES (1, 1), (2, 2);
INSERT INTO deferred VALUES (1, 3);
SELECT * FROM seen;
INSERT INTO cascaded VALUES (1, 4), (2, 4), (3, 1), (4, 9);
INSERT INTO grandchild VALUES (1, 1), (2, 1), (3, 2), (4, 3), (5, 4);
INSERT INTO nulled VALUES (1, 5), (2, 7);
INSERT INTO defaulted VALUES (1, 6), (2, 10);
SELECT * FROM seen;
-- Blocked further down: the grandchild's reference keeps its grandparent.
CREATE TABLE below (id int, grandchild_id int REFERENCES grandchild);
INSERT INTO below VALUES (1, 3);
SELECT * FROM seen;
SELECT cleanup_drop_policy('refs_parent') \gset

-- Two ways to one row count it once; what goes by the same cascade blocks nothing.
CREATE TABLE meeting (id int PRIMARY KEY, at timestamptz);
CREATE TABLE recording (id int PRIMARY KEY, meeting_id int REFERENCES meeting ON DELETE CASCADE);
CREATE TABLE transcript (id int PRIMARY KEY, meeting_id int REFERENCES meeting ON DELETE CASCADE, recording_id int REFERENCES recording,
                         also_id int REFERENCES recording ON DELETE CASCADE, seen_id int REFERENCES meeting ON DELETE SET NULL);
SELECT fill('meeting');
INSERT INTO recording VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO transcript VALUES (1, 1, 1, 1, 1), (2, 9, 2, NULL, NULL), (3, 3, NULL, 3, 5), (4, 9, NULL, NULL, 6);
SELECT cleanup_add_policy('refs_meeting', 'meeting', 'at', '30 days') \gset
SELECT * FROM seen;
SELECT cleanup_drop_policy('refs_meeting') \gset

-- To the same table: a child that stays blocks its parent; one that is due goes with it, and no row blocks itself.
CREATE TABLE chain (id int PRIMARY KEY, at timestamptz, parent_id int REFERENCES chain);
CREATE TABLE tree (id int PRIMARY KEY, at timestamptz, parent_id int REFERENCES tree ON DELETE CASCADE);
CREATE TABLE loose (id int PRIMARY KEY, at timestamptz, parent_id int REFERENCES loose ON DELETE SET NULL);
SELECT fill('chain', 'tree', 'loose');
UPDATE chain SET parent_id = CASE id WHEN 2 THEN 1 WHEN 3 THEN 3 WHEN 8 THEN 4 END;
-- 1 is the parent of 7, 7 of 8, 8 of 2 (due itself); 9 and 10 are each other's.
UPDATE tree SET parent_id = CASE id WHEN 7 THEN 1 WHEN 8 THEN 7 WHEN 2 THEN 8 WHEN 9 THEN 10 WHEN 10 THEN 9 END;
UPDATE loose SET parent_id = CASE id WHEN 2 THEN 1 WHEN 8 THEN 1 WHEN 9 THEN 8 END;
SELECT count(cleanup_add_policy('refs_' || t, t::regclass, 'at', '30 days')) FROM unnest('{chain,tree,loose}'::text[]) t;
SELECT * FROM seen;
SELECT count(cleanup_drop_policy('refs_' || t)) FROM unnest('{chain,tree,loose}'::text[]) t;

-- Several columns, with NULLs; types and collations that differ; types with operators of their own.
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE wide (id int, at timestamptz, code varchar(10) COLLATE "C", caseless text COLLATE blind UNIQUE, big bigint UNIQUE,
                   PRIMARY KEY (id, code));
INSERT INTO wide SELECT g, now() - CASE WHEN g <= 6 THEN 40 ELSE 1 END * interval '1 day', 'c' || g, 'Name ' || g, g FROM generate_series(1, 10) g;
CREATE TABLE simple (id int, code text, FOREIGN KEY (id, code) REFERENCES wide);
CREATE TABLE filled (id int, code text, FOREIGN KEY (id, code) REFERENCES wide MATCH FULL);
CREATE TABLE small (big smallint REFERENCES wide (big));
-- From 18 on both sides have the same collation; before, the referenced column's counts.
SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'COLLATE blind' ELSE '' END AS collation \gset
CREATE TABLE lower_name (name text :collation REFERENCES wide (caseless));
INSERT INTO simple VALUES (1, 'c1'), (2, NULL), (NULL, 'c3');
INSERT INTO filled VALUES (1, 'c1'), (NULL, NULL);
INSERT INTO small VALUES (3), (NULL);
INSERT INTO lower_name VALUES ('name 5');
SELECT cleanup_add_policy('refs_wide', 'wide', 'at', '30 days') \gset
SELECT * FROM seen;
SELECT cleanup_drop_policy('refs_wide') \gset

-- Partitions on both sides, columns in another order, and a key to one partition alone.
CREATE TABLE p (id int PRIMARY KEY, at timestamptz, p_id int REFERENCES p ON DELETE SET NULL) PARTITION BY RANGE (id);
CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (5) PARTITION BY RANGE (id);
CREATE TABLE p_lowest PARTITION OF p_low FOR VALUES FROM (0) TO (5);
CREATE TABLE p_high (p_id int, at timestamptz, id int NOT NULL);
ALTER TABLE p ATTACH PARTITION p_high FOR VALUES FROM (5) TO (100);
CREATE TABLE q (id int PRIMARY KEY, p_id int REFERENCES p) PARTITION BY RANGE (id);
CREATE TABLE q_low (p_id int, id int NOT NULL);
ALTER TABLE q ATTACH PARTITION q_low FOR VALUES FROM (0) TO (5);
CREATE TABLE q_high PARTITION OF q FOR VALUES FROM (5) TO (100);
CREATE TABLE r (id int, p_id int REFERENCES p_lowest);
CREATE TABLE s (id int, p_id int REFERENCES p ON DELETE CASCADE);
SELECT fill('p');
INSERT INTO q VALUES (1, 1), (2, 6), (7, 1), (8, 9);
INSERT INTO r VALUES (1, 2);
INSERT INTO s SELECT g, g FROM generate_series(1, 10) g;
UPDATE p SET p_id = 3 WHERE id IN (4, 9);
SELECT count(cleanup_add_policy('refs_' || t, t::regclass, 'at', '30 days')) FROM unnest('{p,p_low,p_lowest,p_high}'::text[]) t;
SELECT * FROM seen;
SELECT count(cleanup_drop_policy('refs_' || t)) FROM unnest('{p,p_low,p_lowest,p_high}'::text[]) t;

-- Old-style children are no rows of the table that references.
CREATE TABLE heir () INHERITS (no_action);
INSERT INTO heir VALUES (9, 6);
SELECT cleanup_add_policy('refs_parent', 'parent', 'at', '30 days') \gset
SELECT * FROM seen;
-- A constraint that does nothing blocks nothing.
ALTER TABLE parent DISABLE TRIGGER ALL;
SELECT * FROM seen;
ALTER TABLE parent ENABLE TRIGGER ALL;

-- Tables that the owner may not read are left out, with a warning.
CREATE ROLE refs_owner;
GRANT USAGE ON SCHEMA refs TO refs_owner;
ALTER TABLE parent OWNER TO refs_owner;
GRANT SELECT ON cascaded, grandchild, no_action TO refs_owner;
SELECT * FROM seen;
ALTER TABLE no_action ENABLE ROW LEVEL SECURITY;
SELECT * FROM seen;
SELECT replace(regexp_replace(unnest(warnings), 'about \d+', 'about N'), 'belongs to ' || quote_ident(current_user), 'belongs to ME') AS warning FROM cleanup_dry_run('refs_parent');

SELECT cleanup_drop_policy('refs_parent') \gset
DROP SCHEMA refs CASCADE;
DROP ROLE refs_owner;
