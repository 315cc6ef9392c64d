-- Foreign keys and relations of a policy, one by one: what goes, changes or blocks by each.
CREATE SCHEMA detail;
SET search_path = detail, public;
SET client_min_messages = warning;
\pset null (null)

CREATE TABLE client (id bigint PRIMARY KEY, name text);
CREATE TABLE meeting (id bigint PRIMARY KEY, room int);
CREATE TABLE transcript (id bigint PRIMARY KEY, client_id bigint, meeting_id int, parent_id bigint, at timestamptz);
CREATE TABLE page (id bigint PRIMARY KEY, transcript_id bigint CONSTRAINT page_of REFERENCES transcript ON DELETE CASCADE);
CREATE TABLE word (id bigint PRIMARY KEY, page_id bigint CONSTRAINT word_of REFERENCES page ON DELETE CASCADE,
  transcript_id bigint CONSTRAINT word_in REFERENCES transcript ON DELETE CASCADE);
CREATE TABLE mark (id bigint PRIMARY KEY, page_id bigint CONSTRAINT mark_on REFERENCES page ON DELETE SET NULL);
CREATE TABLE invoice (id bigint PRIMARY KEY, transcript_id bigint CONSTRAINT invoice_for REFERENCES transcript);
CREATE TABLE quote (id bigint PRIMARY KEY, page_id bigint CONSTRAINT quote_from REFERENCES page ON DELETE RESTRICT);
CREATE TABLE guest (id bigint PRIMARY KEY, meeting_id bigint CONSTRAINT guest_of REFERENCES meeting ON DELETE CASCADE);
CREATE TABLE note (transcript_id bigint, text text);
CREATE INDEX ON page (transcript_id);
CREATE INDEX ON word (transcript_id);
SELECT cleanup_add_policy('old', 'transcript', 'at', '30 days', time_zone => 'UTC') > 0 AS added;
-- Without rows: what there is.
SELECT dependent, link, path, action, rows, files, indexed FROM cleanup_dry_run_detail('old');

SELECT cleanup_add_relation('old', 'note', '{"id": "transcript_id"}', false) > 0 AS added;
SELECT cleanup_add_relation('old', 'meeting', '{"meeting_id": "id"}') > 0 AS added;
-- Transcripts 1 to 6 are due; 7 and 8 are not, and 8 shares its meeting with 2.
INSERT INTO meeting SELECT g, g FROM generate_series(1, 8) g;
INSERT INTO transcript SELECT g, NULL, CASE g WHEN 8 THEN 2 ELSE g END, NULL, now() - CASE WHEN g <= 6 THEN interval '40 days' ELSE '1 day' END
  FROM generate_series(1, 8) g;
INSERT INTO page SELECT 10 * t + n, t FROM generate_series(1, 8) t, generate_series(1, 2) n;
INSERT INTO word VALUES (1, 11, 1), (2, 12, NULL), (3, 31, 7), (4, NULL, 4), (5, 71, 7), (6, 71, 3);
INSERT INTO mark VALUES (1, 11), (2, 11), (3, 71), (4, 31);
INSERT INTO invoice VALUES (1, 5), (2, 5), (3, 7);
INSERT INTO quote VALUES (1, 61), (2, 81);
INSERT INTO guest VALUES (1, 1), (2, 2), (3, 3), (4, 3), (5, 5);
INSERT INTO note SELECT g % 8, 'x' FROM generate_series(1, 16) g;
-- 5 and 6 are blocked, and keep all that is theirs; meeting 2 is needed by 8; word 5 stays.
SELECT eligible_rows, blocked_rows, dependent_rows FROM cleanup_dry_run('old');
SELECT dependent, link, path, action, rows FROM cleanup_dry_run_detail('old');
SELECT link, indexed, owner = current_user AS own, note, hint FROM cleanup_dry_run_detail('old') WHERE note IS NOT NULL;
SELECT substring(w FROM 'reference them: (.*)\. Delete') AS blocked_by FROM cleanup_dry_run('old') d, unnest(d.warnings) w WHERE w LIKE '%eligible rows stay%';

-- Triggers of all that goes are warned of.
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER seen_note BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION seen();
CREATE TRIGGER seen_guest BEFORE DELETE ON guest FOR EACH ROW EXECUTE FUNCTION seen();
SELECT regexp_matches(w, 'seen_[a-z]+ on [a-z.]+', 'g') AS fires FROM cleanup_dry_run('old') d, unnest(d.warnings) w WHERE w LIKE 'Triggers%';

-- And so it comes.
SELECT status, rows, dependent_rows, skipped_rows FROM cleanup_run('old');
SELECT (SELECT array_agg(id ORDER BY id) FROM transcript) AS transcripts, (SELECT array_agg(id ORDER BY id) FROM meeting) AS meetings,
  (SELECT array_agg(id ORDER BY id) FROM word) AS words, (SELECT array_agg(id ORDER BY id) FROM guest) AS guests,
  (SELECT count(*) FROM note) AS notes, (SELECT array_agg(page_id ORDER BY id) FROM mark) AS marked;

-- A policy that only changes its rows meets none of it. A table that its owner may not read is told of, not counted.
SELECT cleanup_add_policy('mark', 'transcript', 'at', '30 days', action => 'update', set_values => '{"at": "now()"}') > 0 AS added;
SELECT count(*) FROM cleanup_dry_run_detail('mark');
CREATE ROLE detail_owner;
CREATE TABLE theirs (id bigint PRIMARY KEY, at timestamptz);
ALTER TABLE theirs OWNER TO detail_owner;
CREATE TABLE secret (id bigint CONSTRAINT secret_of REFERENCES theirs ON DELETE CASCADE);
CREATE TABLE readable (id bigint CONSTRAINT readable_of REFERENCES theirs ON DELETE SET NULL);
GRANT SELECT ON readable TO detail_owner;
GRANT USAGE ON SCHEMA detail TO detail_owner;
SELECT cleanup_add_policy('theirs', 'theirs', 'at', '30 days') > 0 AS added;
SELECT dependent, link, rows, indexed, owner = 'detail_owner' AS own, note FROM cleanup_dry_run_detail('theirs');

-- Bad input.
\set VERBOSITY terse
SELECT * FROM cleanup_dry_run_detail(NULL);
SELECT * FROM cleanup_dry_run_detail('*');
SELECT * FROM cleanup_dry_run_detail('odl');
ALTER TABLE transcript RENAME at TO time;
SELECT * FROM cleanup_dry_run_detail('old');

SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
DROP SCHEMA detail CASCADE;
DROP ROLE detail_owner;
