-- keep_last and keep_per: the newest rows of each group stay whatever their age.
CREATE SCHEMA keep_last;
SET search_path = keep_last, public;
SET client_min_messages = warning;
SET TimeZone = 'UTC';

CREATE TABLE backup (id int PRIMARY KEY, host text, kind int, made_at timestamptz, ok boolean DEFAULT true);
INSERT INTO backup SELECT g, (ARRAY['a','b',NULL])[1 + g % 3], g % 2, '2020-01-01 00:00+00'::timestamptz + (g / 6) * interval '1 day' FROM generate_series(0, 119) g;
-- Neither of these has a place among the newest: no age, or none yet.
INSERT INTO backup VALUES (200, 'a', 0, NULL), (201, NULL, NULL, '2020-01-01');
SELECT cleanup_add_policy('kl_backups', 'backup', 'made_at', '30 days', keep_last => 3, keep_per => '{host,kind}', time_zone => 'UTC') \gset
SELECT keep_last, keep_per FROM cleanup_policies WHERE policy = 'kl_backups';
SELECT eligible_rows, blocked_rows, newest, warnings FROM cleanup_dry_run('kl_backups');
SELECT count(*) FROM cleanup_preview('kl_backups', 1000);
SELECT why LIKE '% and is not among the newest 3 rows of its host, kind' AS says_so FROM cleanup_preview('kl_backups', 1);
SELECT status, rows, message FROM cleanup_run('kl_backups');
SELECT host, kind, count(*), min(made_at), max(made_at) FROM backup GROUP BY host, kind ORDER BY 1, 2;
SELECT status, rows FROM cleanup_run('kl_backups');
-- Fewer stay: the whole table as one group, with ties at the end of the group.
SELECT cleanup_alter_policy('kl_backups', keep_last => 2, clear => '{keep_per}');
SELECT keep_last, keep_per FROM cleanup_policies WHERE policy = 'kl_backups';
SELECT status, rows FROM cleanup_run('kl_backups');
SELECT count(*), count(made_at), min(made_at) FROM backup;
-- All rows of the group count, whatever the condition says of them.
INSERT INTO backup SELECT 300 + g, 'c', 0, now() - g * interval '100 days', g > 5 FROM generate_series(1, 10) g;
SELECT cleanup_alter_policy('kl_backups', keep_last => 5, keep_per => '{host}', condition => 'ok');
SELECT eligible_rows FROM cleanup_dry_run('kl_backups');
SELECT cleanup_alter_policy('kl_backups', condition => 'NOT ok');
SELECT eligible_rows FROM cleanup_dry_run('kl_backups');
-- With an update: the newest stay as they are.
SELECT cleanup_alter_policy('kl_backups', keep_last => 3, action => 'update', set_values => '{"ok": "true"}');
SELECT status, rows FROM cleanup_run('kl_backups');
SELECT string_agg(id || ':' || ok, ' ' ORDER BY id) FROM backup WHERE host = 'c';
SELECT status, rows FROM cleanup_run('kl_backups');

-- Rows as old as the last of the newest stay too, or the next run would take what this one left.
CREATE TABLE tie (id int, grp int, at timestamptz, done boolean DEFAULT false);
INSERT INTO tie SELECT g, 1, '2020-01-01'::timestamptz + g / 4 * interval '1 day' FROM generate_series(0, 11) g;
SELECT cleanup_add_policy('kl_tie', 'tie', 'at', '1 day', condition => 'NOT done', keep_last => 6, keep_per => '{grp}', action => 'update', set_values => '{"done": "true"}') \gset
SELECT status, rows FROM cleanup_run('kl_tie');
SELECT status, rows FROM cleanup_run('kl_tie');
SELECT cleanup_alter_policy('kl_tie', set_values => '{"done": "true", "grp": "0"}');
SELECT cleanup_alter_policy('kl_tie', set_values => '{"at": "now()"}');

-- Other ages; the parent of partitions is one target; a partition is a target of its own.
CREATE TABLE ids (id uuid, n int);
INSERT INTO ids SELECT ('016f5e66-e80' || g || '-7000-8000-000000000001')::uuid, g FROM generate_series(0, 9) g;
INSERT INTO ids VALUES ('ffffffff-ffff-4fff-8fff-ffffffffffff', 99);
SELECT cleanup_add_policy('kl_ids', 'ids', 'id', '1 day', keep_last => 4) \gset
SELECT status, rows FROM cleanup_run('kl_ids');
SELECT array_agg(n ORDER BY n) FROM ids;
CREATE TABLE reading (sensor varchar(10) NOT NULL, at timestamp, n int) PARTITION BY LIST (n);
CREATE TABLE reading_0 PARTITION OF reading FOR VALUES IN (0);
CREATE TABLE reading_1 PARTITION OF reading FOR VALUES IN (1);
INSERT INTO reading SELECT 's' || g % 2, '2020-01-01'::timestamp + g / 4 * interval '1 hour', g / 2 % 2 FROM generate_series(0, 39) g;
SELECT cleanup_add_policy('kl_readings', 'reading', 'at', '1 day', keep_last => 3, keep_per => '{sensor}') \gset
SELECT cleanup_add_policy('kl_reading_0', 'reading_0', 'at', '1 day', keep_last => 5, keep_per => '{sensor}') \gset
SELECT eligible_rows FROM cleanup_dry_run('kl_reading_0');
SELECT status, rows FROM cleanup_run('kl_readings');
SELECT sensor, count(*), min(at), max(at) FROM reading GROUP BY sensor ORDER BY 1;

-- A group needs an index to find its newest rows by; large tables are warned of.
CREATE TABLE large (k1 int, k2 text, at timestamptz);
INSERT INTO large SELECT g % 100, 'x', now() - g * interval '1 hour' FROM generate_series(1, 5000) g;
ANALYZE large;
SELECT cleanup_add_policy('kl_large', 'large', 'at', '100 years', keep_last => 3, keep_per => '{k1,k2}') \gset
SELECT unnest(warnings) FROM cleanup_dry_run('kl_large');
SELECT detail, hint FROM cleanup_check() WHERE check_name = 'age_index' AND detail LIKE '%kl_large%';
CREATE INDEX ON large (k1, at, k2);
CREATE INDEX ON large (k2, k1, at) WHERE k1 > 0;
SELECT count(*) FROM (SELECT unnest(warnings) FROM cleanup_dry_run('kl_large')) w;
CREATE INDEX ON large (k2, k1, at DESC);
SELECT warnings FROM cleanup_dry_run('kl_large');
SELECT cleanup_alter_policy('kl_large', clear => '{keep_per}');
SELECT unnest(warnings) FROM cleanup_dry_run('kl_large');
CREATE INDEX ON large (at);
SELECT warnings FROM cleanup_dry_run('kl_large');

-- What it cannot be.
CREATE TABLE odd (id int, at timestamptz, j json, "of it" int);
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => 0);
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => -1);
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_per => '{id}');
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => 1, keep_per => '{id,nothing}');
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => 1, keep_per => '{id,id}');
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => 1, keep_per => '{ctid}');
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => 1, keep_per => '{j}');
SELECT cleanup_add_policy('kl_bad', 'odd', 'at', '1 day', keep_last => 1, keep_per => '{id,NULL}');
SELECT cleanup_add_policy('kl_bad', 'odd', condition => 'id > 0', keep_last => 1);
-- A column that is renamed or retyped breaks the policy.
SELECT cleanup_add_policy('kl_odd', 'odd', 'at', '1 day', keep_last => 1, keep_per => '{"of it"}') \gset
ALTER TABLE odd RENAME COLUMN "of it" TO of_it;
SELECT state, reason FROM cleanup_policy_states('kl_odd');
SELECT cleanup_alter_policy('kl_odd', keep_per => '{of_it}');
SELECT state FROM cleanup_policy_states('kl_odd');
ALTER TABLE odd ALTER of_it TYPE text;
SELECT state, reason FROM cleanup_policy_states('kl_odd');

SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies WHERE policy LIKE 'kl%';
DROP SCHEMA keep_last CASCADE;
