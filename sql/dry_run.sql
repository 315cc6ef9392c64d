-- cleanup_dry_run: numbers, arguments, permissions, errors.
CREATE SCHEMA dry_run;
SET search_path = dry_run, public;
SET client_min_messages = warning;

-- Ten rows, a day apart from five days ago on; one without an age, and two that are never due.
CREATE TABLE event (id int PRIMARY KEY, created_at timestamptz, kind text, payload text);
INSERT INTO event SELECT g, now() - (g + 4) * interval '1 day' - interval '1 hour', CASE WHEN g % 2 = 0 THEN 'even' ELSE 'odd' END, repeat('x', 100)
  FROM generate_series(1, 10) g;
INSERT INTO event VALUES (11, NULL, 'odd', ''), (12, '-infinity', 'odd', ''), (13, 'infinity', 'odd', '');
SELECT cleanup_add_policy('dr_old', 'event', 'created_at', '10 days') \gset
SELECT cleanup_add_policy('dr_even', 'event', 'created_at', '7 days', condition => $$kind = 'even'$$, priority => 50) \gset

\x
SELECT policy, target, action, strategy, abs(extract(epoch FROM now() - interval '10 days' - cutoff)) < 60 AS cutoff_is_right,
       eligible_rows, held_rows, blocked_rows, dependent_rows, files,
       oldest = (SELECT created_at FROM event WHERE id = 10) AS oldest_is_right,
       newest = (SELECT created_at FROM event WHERE id = 6) AS newest_is_right, warnings
  FROM cleanup_dry_run('dr_old');
\x
-- Bytes are the rows' stored size, and follow the number of rows.
SELECT row_bytes, row_bytes = eligible_rows * (row_bytes / eligible_rows) AS is_whole FROM cleanup_dry_run('dr_old');

-- Another period, longer or shorter; a range of ages, which only narrows.
SELECT eligible_rows FROM cleanup_dry_run('dr_old', retain => '13 days');
SELECT eligible_rows FROM cleanup_dry_run('dr_old', retain => '0');
SELECT eligible_rows FROM cleanup_dry_run('dr_old', age_from => now() - interval '13 days');
SELECT eligible_rows FROM cleanup_dry_run('dr_old', age_to => now() - interval '12 days');
SELECT eligible_rows FROM cleanup_dry_run('dr_old', age_from => now() - interval '13 days', age_to => now() - interval '12 days');
SELECT eligible_rows FROM cleanup_dry_run('dr_old', age_to => now() + interval '1 day');

-- Nothing due: zeros, and no ages.
SELECT eligible_rows, blocked_rows, dependent_rows, row_bytes, oldest, newest FROM cleanup_dry_run('dr_old', retain => '1 year');

-- Only a condition; a partitioned target; an empty one.
CREATE TABLE flagged (id int, gone boolean);
INSERT INTO flagged SELECT g, g <= 3 FROM generate_series(1, 8) g;
SELECT cleanup_add_policy('dr_flagged', 'flagged', condition => 'gone') \gset
SELECT cutoff, eligible_rows, oldest, newest FROM cleanup_dry_run('dr_flagged');
CREATE TABLE parted (at date, n int) PARTITION BY RANGE (n);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 (n int NOT NULL, at date);
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (10) TO (20);
SELECT cleanup_add_policy('dr_parted', 'parted', 'at', '7 days', time_zone => 'UTC') \gset
SELECT cleanup_add_policy('dr_partition', 'parted_2', 'at', '7 days', time_zone => 'UTC') \gset
SELECT policy, eligible_rows, row_bytes FROM cleanup_dry_run('dr_parted');
INSERT INTO parted SELECT '2020-01-01'::date + g, g FROM generate_series(0, 14) g;
SELECT policy, target, eligible_rows, oldest AT TIME ZONE 'UTC' AS oldest, newest AT TIME ZONE 'UTC' AS newest
  FROM unnest('{dr_parted,dr_partition}'::text[]) AS p(name), cleanup_dry_run(name);

-- Permissions: a table's owner sees his own policies only, in the order of priority.
CREATE ROLE dry_run_owner;
CREATE ROLE dry_run_member;
GRANT dry_run_owner TO dry_run_member;
CREATE ROLE dry_run_other;
GRANT USAGE ON SCHEMA dry_run TO dry_run_owner, dry_run_other;
GRANT EXECUTE ON FUNCTION cleanup_dry_run TO dry_run_owner, dry_run_other;
ALTER TABLE event OWNER TO dry_run_owner;
SET ROLE dry_run_owner;
SELECT policy, eligible_rows FROM cleanup_dry_run();
SET ROLE dry_run_member;
SELECT policy, eligible_rows FROM cleanup_dry_run('*');
SET ROLE dry_run_other;
SET client_min_messages = notice;
SELECT policy FROM cleanup_dry_run();
SET client_min_messages = warning;
SELECT policy FROM cleanup_dry_run('dr_old');
RESET ROLE;
-- Whatever the caller's rights: it is the owner who reads.
ALTER TABLE event OWNER TO dry_run_other;
REVOKE ALL ON event FROM dry_run_other;
\set VERBOSITY terse
SELECT policy FROM cleanup_dry_run('dr_old');
GRANT ALL ON event TO dry_run_other;
-- Rows that row security would hide from the owner are an error, not zero.
ALTER TABLE event ENABLE ROW LEVEL SECURITY;
ALTER TABLE event FORCE ROW LEVEL SECURITY;
SELECT policy FROM cleanup_dry_run('dr_old');
ALTER TABLE event NO FORCE ROW LEVEL SECURITY;
SELECT eligible_rows FROM cleanup_dry_run('dr_old');
ALTER TABLE event DISABLE ROW LEVEL SECURITY;
ALTER TABLE event OWNER TO CURRENT_USER;
\set VERBOSITY default

-- Bad input.
SELECT * FROM cleanup_dry_run(NULL);
SELECT * FROM cleanup_dry_run('dr_odl');
SELECT * FROM cleanup_dry_run('');
SELECT * FROM cleanup_dry_run(retain => '1 day');
SELECT * FROM cleanup_dry_run(age_from => now());
SELECT * FROM cleanup_dry_run('dr_old', age_from => '2020-01-02', age_to => '2020-01-02');
SELECT * FROM cleanup_dry_run('dr_old', age_to => 'infinity');
SELECT * FROM cleanup_dry_run('dr_old', retain => '30');
SELECT * FROM cleanup_dry_run('dr_old', retain => '-1 day');
SELECT * FROM cleanup_dry_run('dr_flagged', retain => '1 day');
SELECT * FROM cleanup_dry_run('dr_flagged', age_from => '2020-01-01');

-- What the transaction did would not be seen.
BEGIN;
SELECT eligible_rows FROM cleanup_dry_run('dr_old');
INSERT INTO event VALUES (14, now() - interval '1 year');
SELECT eligible_rows FROM cleanup_dry_run('dr_old');
ROLLBACK;
BEGIN READ ONLY;
SELECT eligible_rows FROM cleanup_dry_run('dr_old');
COMMIT;

-- An error of the condition is the dry run's; among others it is one policy's.
\set VERBOSITY terse
SELECT cleanup_add_policy('dr_raises', 'flagged', condition => '1 / (id - 4) >= 0', priority => 200) \gset
SELECT * FROM cleanup_dry_run('dr_raises');
SELECT cleanup_alter_policy('dr_even', enabled => false) \gset
SELECT policy, target, eligible_rows, warnings FROM cleanup_dry_run() WHERE policy IN ('dr_old', 'dr_even', 'dr_raises');
SELECT policy, eligible_rows, warnings FROM cleanup_dry_run('dr_even');

-- Broken and unbound.
\set VERBOSITY default
ALTER TABLE event RENAME COLUMN created_at TO made_at;
SELECT * FROM cleanup_dry_run('dr_old');
SELECT policy, target, eligible_rows FROM cleanup_dry_run() WHERE policy = 'dr_old';
DROP TABLE event;
\set VERBOSITY terse
SELECT * FROM cleanup_dry_run('dr_old');

SELECT count(cleanup_drop_policy(policy)) AS dropped FROM cleanup_policies WHERE policy LIKE 'dr\_%';
DROP SCHEMA dry_run CASCADE;
REVOKE ALL ON FUNCTION cleanup_dry_run FROM dry_run_owner, dry_run_other;
DROP ROLE dry_run_owner, dry_run_member, dry_run_other;
