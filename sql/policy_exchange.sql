-- Policies as JSON, from one database to another.
CREATE SCHEMA policy_exchange;
SET search_path = policy_exchange, public;
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
CREATE TABLE events (id int, at timestamptz, kind varchar(10));
SELECT count(cleanup_add_policy(policy, 'events', age::name, CASE WHEN age IS NOT NULL THEN interval '1 mon 2 days' END, condition, priority => 3))
  FROM (VALUES ('one', 'at', NULL), ('two "quoted"', NULL, 'kind IN (''a'', ''b'')')) v (policy, age, condition);
SET IntervalStyle = 'iso_8601';
SELECT jsonb_pretty(cleanup_export_policies());
RESET IntervalStyle;
SELECT cleanup_export_policies() AS exported \gset
CREATE TEMP TABLE before AS SELECT policy, target::text, age_column, retain, condition, priority, enabled, time_zone FROM cleanup_policies;

SELECT cleanup_import_policies(:'exported');
SELECT cleanup_import_policies(:'exported', replace => true);
SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
SELECT cleanup_import_policies(:'exported');
SELECT count(*) FROM (SELECT policy, target::text, age_column, retain, condition, priority, enabled, time_zone FROM cleanup_policies
  EXCEPT SELECT * FROM before) different;
SELECT policy, state, reason FROM cleanup_policy_states();

-- What is left out is as cleanup_add_policy would have it; replacing puts the whole policy in its place.
SELECT cleanup_import_policies('[{"policy": "one", "target": "events", "condition": "kind = ''c''"}]', true);
SELECT policy, age_column, retain, condition, priority, time_zone FROM cleanup_policies WHERE policy = 'one';

-- All or none.
SELECT refused($$SELECT cleanup_import_policies('[{"policy": "new", "target": "events", "condition": "true"}, {"policy": "bad", "target": "events"}]')$$);
SELECT refused(format('SELECT cleanup_import_policies(%L)', bad)) FROM unnest(ARRAY[NULL, '{}', '"x"', '[1]', '[{"name": "x"}]', '[{"target": "events"}]',
  '[{"policy": "x"}]', '[{"policy": "x", "target": "nowhere", "condition": "true"}]', '[{"policy": "x", "target": "events", "retain": "soon"}]',
  '[{"policy": "*", "target": "events", "condition": "true"}]', '[{"policy": "x", "target": "events", "condition": "random() > 0"}]',
  '[{"policy": "x", "target": "a.b.c.d", "condition": "true"}]',
  '[{"policy": "x", "target": "events", "condition": "true"}, {"policy": "x", "target": "events", "condition": "true"}]']) bad;
SELECT cleanup_import_policies('[]');
-- an error says in which policy of the import it is
SELECT cleanup_import_policies('[{"policy": "right", "target": "events", "condition": "true"}, {"policy": "wrong", "target": "events", "age_column": "at", "retain": "30"}]');
SELECT count(*) FROM cleanup_policies WHERE policy IN ('right', 'wrong');
SELECT policy FROM cleanup_policies ORDER BY 1;

-- Exported text means what it meant; where the importer's search_path would read it otherwise, that is said.
CREATE SCHEMA policy_exchange_shadow;
CREATE FUNCTION policy_exchange_shadow.never(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR policy_exchange_shadow.= (LEFTARG = int, RIGHTARG = int, FUNCTION = policy_exchange_shadow.never);
SET search_path = policy_exchange_shadow, pg_catalog, policy_exchange, public;
SELECT refused($$SELECT cleanup_import_policies('[{"policy": "x", "target": "events", "condition": "(target.id = 5)"}]')$$);
SET search_path = policy_exchange, public;
SELECT cleanup_import_policies('[{"policy": "x", "target": "events", "condition": "(target.id = 5)"}]');

SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies;
DROP SCHEMA policy_exchange, policy_exchange_shadow CASCADE;
