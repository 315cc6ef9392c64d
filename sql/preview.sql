-- cleanup_preview: which rows, in which order, and why.
CREATE SCHEMA preview;
SET search_path = preview, public;
SET client_min_messages = warning;
SET timezone = 'UTC';

CREATE TABLE note (id int PRIMARY KEY, written_at timestamptz, "state of it" text, body jsonb);
INSERT INTO note SELECT g, '2020-01-01 00:00+00'::timestamptz + g * interval '1 day', (ARRAY['done', 'open'])[1 + g % 2], jsonb_build_object('n', g)
  FROM generate_series(1, 30) g;
CREATE INDEX ON note (written_at);
SELECT cleanup_add_policy('pv_notes', 'note', 'written_at', '30 days', condition => $$"state of it" = 'done'$$, time_zone => 'UTC') \gset

-- Oldest first; times vary, so they are blanked out.
SELECT row_data, age, regexp_replace(why, '(cutoff|before) [0-9-]+ [0-9:.+]+', '\1 ...', 'g') AS why FROM cleanup_preview('pv_notes', 3);
SELECT count(*), min(age) FROM cleanup_preview('pv_notes');
SELECT count(*) FROM cleanup_preview('pv_notes', 5);
SELECT count(*) FROM cleanup_preview('pv_notes', rows => 1000);

-- Ages that are no times show theirs.
CREATE TABLE ages (id uuid, s int, ms bigint, d date, ts timestamp);
INSERT INTO ages VALUES ('016f5e66-e800-7000-8000-000000000001', 1577836800, 1577836800123, '2020-01-01', '2020-01-01 12:00');
SELECT cleanup_add_policy('pv_uuid', 'ages', 'id', '1 day', time_zone => 'UTC') \gset
SELECT cleanup_add_policy('pv_int', 'ages', 's', '1 day', time_zone => 'UTC') \gset
SELECT cleanup_add_policy('pv_bigint', 'ages', 'ms', '1 day', age_unit => 'ms', time_zone => 'UTC') \gset
SELECT cleanup_add_policy('pv_date', 'ages', 'd', '1 day', time_zone => 'UTC') \gset
SELECT cleanup_add_policy('pv_timestamp', 'ages', 'ts', '1 day', time_zone => 'Asia/Tokyo') \gset
SELECT p, age, split_part(why, ' is older', 1) AS why
  FROM unnest('{pv_uuid,pv_int,pv_bigint,pv_date,pv_timestamp}'::text[]) p, cleanup_preview(p);

-- Only a condition; partitions; a disabled policy.
SELECT cleanup_add_policy('pv_condition', 'ages', condition => 's > 0', enabled => false) \gset
SELECT age, why FROM cleanup_preview('pv_condition');
CREATE TABLE parted (at timestamptz, n int) PARTITION BY RANGE (n);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
CREATE INDEX ON parted (at);
INSERT INTO parted SELECT '2020-01-01 00:00+00'::timestamptz - g * interval '1 day', g FROM generate_series(0, 19) g;
SELECT cleanup_add_policy('pv_parted', 'parted', 'at', '1 day', time_zone => 'UTC') \gset
SELECT row_data->'n' AS n, age FROM cleanup_preview('pv_parted', 3);

-- Blocked rows say by what.
CREATE TABLE comment (id int, note_id int REFERENCES note, other_id int REFERENCES note ON DELETE RESTRICT);
INSERT INTO comment VALUES (1, 2, NULL), (2, 4, 4), (3, NULL, NULL);
SELECT row_data->'id' AS id, substring(why FROM '; blocked.*') AS blocked FROM cleanup_preview('pv_notes', 3);

-- A value that cannot be shown is an error, as it is of a SELECT.
\set VERBOSITY terse
SELECT * FROM cleanup_preview(NULL);
SELECT * FROM cleanup_preview('pv_notes', NULL);
SELECT * FROM cleanup_preview('pv_notes', 0);
SELECT * FROM cleanup_preview('pv_notes', 1001);
SELECT * FROM cleanup_preview('*');
SELECT * FROM cleanup_preview('pv_nots');
BEGIN;
CREATE TABLE changed ();
SELECT * FROM cleanup_preview('pv_notes');
ROLLBACK;
ALTER TABLE note DROP COLUMN "state of it" CASCADE;
SELECT * FROM cleanup_preview('pv_notes');

SELECT count(cleanup_drop_policy(policy)) AS dropped FROM cleanup_policies WHERE policy LIKE 'pv\_%';
DROP SCHEMA preview CASCADE;
