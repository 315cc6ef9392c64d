-- Relations: rows of other tables that go with a policy's rows, as they are declared.
CREATE SCHEMA relations;
SET search_path = relations, public;
SET TimeZone = 'UTC';
\pset null (null)

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
CREATE DOMAIN short AS varchar(20);
CREATE TABLE transcripts (id bigint PRIMARY KEY, meeting_id int, code short, "Odd name" text, payload json, kind char(3), parent_id bigint,
  tags int[], at timestamptz);
CREATE TABLE meetings (id bigint PRIMARY KEY, code text, name text, payload json, tags bigint[], room int);
CREATE TABLE notes (transcript_id bigint, author text) PARTITION BY RANGE (transcript_id);
CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (1000);
SELECT cleanup_add_policy('old', 'transcripts', 'at', '30 days') > 0 AS added;

-- Both directions; other integers, domains and varchar compare; the second one to the same table has other columns.
SELECT cleanup_add_relation('old', 'meetings', '{"meeting_id": "id"}') > 0 AS added;
SELECT cleanup_add_relation('old', 'meetings', '{"code": "code", "id": "room"}', unless_referenced => false) > 0 AS added;
SELECT cleanup_add_relation('old', 'notes', '{"id": "transcript_id"}', false) > 0 AS added;
SELECT cleanup_add_relation('old', 'transcripts', '{"id": "parent_id"}') > 0 AS added;
SELECT p.policy, r.related, r.on_columns, r.unless_referenced FROM cleanup_relations r JOIN cleanup_policies p USING (policy_id)
  ORDER BY relation_id;
SELECT policy, state, reason FROM cleanup_policy_states();

-- Bad input.
CREATE VIEW a_view AS SELECT * FROM meetings;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM meetings;
CREATE TEMP TABLE a_temp (id bigint);
CREATE FOREIGN DATA WRAPPER relations_wrapper;
CREATE SERVER relations_server FOREIGN DATA WRAPPER relations_wrapper;
CREATE FOREIGN TABLE a_foreign (id bigint) SERVER relations_server;
CREATE SEQUENCE a_sequence;
CREATE ROLE relations_other;
CREATE TABLE another (id bigint);
ALTER TABLE another OWNER TO relations_other;
SELECT refused(format('SELECT cleanup_add_relation(%L, %L, %L)', policy, related, on_columns))
  FROM (VALUES
    ('old', 'a_view', '{"meeting_id": "id"}'), ('old', 'a_matview', '{"meeting_id": "id"}'), ('old', 'a_temp', '{"meeting_id": "id"}'),
    ('old', 'a_foreign', '{"meeting_id": "id"}'), ('old', 'a_sequence', '{"meeting_id": "last_value"}'),
    ('old', 'pg_class', '{"meeting_id": "oid"}'), ('old', 'cleanup_runs', '{"id": "run_id"}'), ('old', 'another', '{"id": "id"}'),
    ('old', 'nowhere', '{"id": "id"}'), ('old', NULL, '{"id": "id"}'), (NULL, 'meetings', '{"id": "id"}'),
    ('odl', 'meetings', '{"meeting_id": "id"}'),
    ('old', 'meetings', '{"nothing": "id"}'), ('old', 'meetings', '{"id": "nothing"}'), ('old', 'meetings', '{"ctid": "id"}'),
    ('old', 'meetings', '{"code": "id"}'), ('old', 'meetings', '{"payload": "payload"}'), ('old', 'meetings', '{"kind": "code"}'),
    ('old', 'meetings', '{"tags": "tags"}'),
    ('old', 'meetings', '{}'), ('old', 'meetings', '[]'), ('old', 'meetings', '"id"'), ('old', 'meetings', 'null'), ('old', 'meetings', NULL),
    ('old', 'meetings', '{"id": 1}'), ('old', 'meetings', '{"id": null}'), ('old', 'meetings', '{"id": ["id"]}'), ('old', 'meetings', '{"id"'),
    ('old', 'meetings', '{"id": "id", "meeting_id": "id"}'),
    ('old', 'meetings', '{"meeting_id": "id"}'), ('old', 'transcripts', '{"id": "id"}'))
  v (policy, related, on_columns);
SELECT refused($$SELECT cleanup_add_relation('old', 'meetings', '{"id": "id"}', NULL)$$);
CREATE COLLATION relations_nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE nocase (code text COLLATE relations_nocase);
SELECT refused($$SELECT cleanup_add_relation('old', 'nocase', '{"code": "code"}')$$);
CREATE TYPE one AS ENUM ('a');
CREATE TYPE two AS ENUM ('a');
ALTER TABLE transcripts ADD choice one;
CREATE TABLE choices (choice two);
SELECT refused($$SELECT cleanup_add_relation('old', 'choices', '{"choice": "choice"}')$$);
SELECT count(*) FROM cleanup_relations;
DROP VIEW a_view;
DROP MATERIALIZED VIEW a_matview;

-- Dropping: all to a table, or one.
SELECT refused($$SELECT cleanup_drop_relation('old', 'another')$$);
SELECT refused($$SELECT cleanup_drop_relation('old', 'meetings', '{"code": "code"}')$$);
SELECT refused($$SELECT cleanup_drop_relation('old', NULL)$$);
SELECT cleanup_drop_relation('old', 'meetings', '{"id": "room", "code": "code"}');
SELECT cleanup_drop_relation('old', 'transcripts');
SELECT related, on_columns FROM cleanup_relations ORDER BY relation_id;
SELECT state FROM cleanup_policy_states();

-- By hand: the same rules.
UPDATE cleanup_relations SET unless_referenced = false WHERE related::regclass = 'meetings'::regclass;
SELECT refused(statement) FROM (VALUES
  ($$UPDATE cleanup_relations SET on_columns = '{"id": "id"}'$$), ($$UPDATE cleanup_relations SET related = 'relations.another'$$),
  ($$UPDATE cleanup_relations SET policy_id = -1$$), ($$UPDATE cleanup_relations SET created_by = 'me'$$),
  ($$INSERT INTO cleanup_relations (policy_id, related, on_columns) VALUES (-1, 'relations.meetings', '{"id": "id"}')$$),
  ($$INSERT INTO cleanup_relations (policy_id, related, on_columns) SELECT policy_id, 'relations.meetings', '{}' FROM cleanup_policies$$))
  v (statement);
SELECT event, details FROM (SELECT audit_id, event, details - 'relation_id' AS details FROM cleanup_audit
  WHERE target = 'relations.transcripts' AND event LIKE 'relation%') a ORDER BY audit_id;

-- Columns that were swapped, renamed or changed never rebind silently.
CREATE FUNCTION state() RETURNS text STABLE LANGUAGE sql AS $$ SELECT concat_ws(': ', state, reason) FROM cleanup_policy_states('old') $$;
BEGIN;
ALTER TABLE meetings RENAME id TO was_id;
ALTER TABLE meetings RENAME room TO id;
SELECT regexp_replace(state(), 'table \d+', 'table ...');
SELECT refused($$SELECT cleanup_add_relation('old', 'meetings', '{"meeting_id": "was_id"}')$$);
-- Saying what is meant now: without the relation the policy is what it was.
SELECT cleanup_drop_relation('old', 'meetings');
SELECT state();
SELECT cleanup_add_relation('old', 'meetings', '{"meeting_id": "was_id"}') > 0 AS added;
SELECT state();
ROLLBACK;
BEGIN;
ALTER TABLE meetings ALTER id TYPE text;
SELECT state();
ROLLBACK;
BEGIN;
ALTER TABLE transcripts DROP meeting_id;
SELECT state();
ROLLBACK;
BEGIN;
ALTER TABLE meetings OWNER TO relations_other;
SELECT state();
ROLLBACK;
BEGIN;
DROP TABLE meetings;
SELECT regexp_replace(state(), 'relation_id \d+', 'relation_id ...');
-- Removing the relation does not agree to anything else that changed.
ALTER TABLE transcripts RENAME at TO at_2;
ALTER TABLE transcripts ADD at timestamptz;
DELETE FROM cleanup_relations WHERE related::regclass IS NULL;
SELECT regexp_replace(state(), '\d+', '...', 'g');
ROLLBACK;
-- A renamed table keeps its relation.
BEGIN;
ALTER TABLE meetings RENAME TO appointments;
SELECT state();
SELECT related FROM cleanup_relations ORDER BY relation_id;
ROLLBACK;
-- Other targets must have the columns.
SELECT refused($$SELECT cleanup_alter_policy('old', target => 'another', condition => 'true', clear => '{age_column,retain}')$$);

-- Export and import.
SELECT jsonb_pretty(e -> 'relations') FROM jsonb_array_elements(cleanup_export_policies()) e;
SELECT cleanup_export_policies() AS exported \gset
SELECT cleanup_import_policies(:'exported', replace => true);
SELECT related, on_columns, unless_referenced FROM cleanup_relations ORDER BY relation_id;
SELECT state();
SELECT cleanup_drop_policy('old');
SELECT count(*) FROM cleanup_relations;
SELECT cleanup_import_policies(:'exported');
SELECT related, on_columns, unless_referenced FROM cleanup_relations ORDER BY relation_id;
SELECT state();
SELECT cleanup_import_policies('[{"policy": "old", "target": "transcripts", "condition": "true"}]', true);
SELECT count(*) FROM cleanup_relations;
SELECT state();
SELECT refused(format('SELECT cleanup_import_policies(%L, true)', format('[{"policy": "old", "target": "transcripts", "condition": "true", "relations": %s}]', bad)))
  FROM unnest(ARRAY['{}', '[1]', '[{}]', '[{"related": "meetings"}]', '[{"related": 1, "on_columns": {"id": "id"}}]',
    '[{"related": "nowhere", "on_columns": {"id": "id"}}]', '[{"related": "meetings", "on_columns": {"id": "no"}}]',
    '[{"related": "meetings", "on_columns": {"id": "id"}, "unless": true}]',
    '[{"related": "meetings", "on_columns": {"id": "id"}, "unless_referenced": "yes"}]',
    '[{"related": "meetings", "on_columns": {"id": "id"}}, {"related": "meetings", "on_columns": {"id": "id"}}]']) bad;
SELECT count(*) FROM cleanup_relations;

SELECT cleanup_drop_policy('old');
DROP TABLE another;
DROP SCHEMA relations CASCADE;
DROP SERVER relations_server;
DROP FOREIGN DATA WRAPPER relations_wrapper;
DROP ROLE relations_other;
