-- What every object of the extension must have, and the result types as they are documented.
SELECT plan(16);

CREATE TEMP VIEW member AS
  SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_cleanup';
CREATE TEMP VIEW function AS
  SELECT p.*, p.oid::regprocedure::text AS signature FROM pg_proc p JOIN member m ON m.objid = p.oid
  WHERE m.classid = 'pg_proc'::regclass;
CREATE TEMP VIEW relation AS
  SELECT c.*, c.oid::regclass::text AS name FROM pg_class c JOIN member m ON m.objid = c.oid
  WHERE m.classid = 'pg_class'::regclass;

SELECT isnt_empty($$SELECT FROM function$$, 'the extension has functions');
SELECT isnt_empty($$SELECT FROM relation WHERE relkind = 'r'$$, 'and tables');

SELECT is_empty($$SELECT signature FROM function WHERE obj_description(oid, 'pg_proc') IS NULL$$,
  'every function has a comment');
SELECT is_empty($$SELECT name FROM relation WHERE relkind IN ('r', 'v') AND obj_description(oid, 'pg_class') IS NULL$$,
  'every table and view has a comment');
SELECT is_empty($$
  SELECT t.typname FROM pg_type t JOIN member m ON m.objid = t.oid AND m.classid = 'pg_type'::regclass
  WHERE t.typelem = 0 AND obj_description(t.oid, 'pg_type') IS NULL
    AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')$$,
  'every type has a comment');

SELECT is_empty($$SELECT signature FROM function WHERE has_function_privilege('public', oid, 'EXECUTE')$$,
  'no function is for everybody');
SELECT is_empty($$
  SELECT name, a.privilege_type FROM relation, aclexplode(relacl) a WHERE a.grantee = 0$$,
  'nor is a table, view or sequence');
SELECT is_empty($$
  SELECT signature FROM function f WHERE prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
    AND prosqlbody IS NULL AND NOT EXISTS (SELECT FROM unnest(f.proconfig) s WHERE s LIKE 'search_path=pg_catalog%')$$,
  'a function that is not C is SQL-standard or pins its search_path');
SELECT is_empty($$SELECT signature FROM function WHERE prosecdef AND NOT (proconfig::text LIKE '%search_path=pg_catalog, pg_temp%')$$,
  'a function with its owner''s rights pins its search_path');
SELECT is_empty($$
  SELECT proname FROM function WHERE proname NOT LIKE 'cleanup\_%'
  UNION ALL SELECT relname FROM relation WHERE relname NOT LIKE 'cleanup\_%'$$,
  'every name begins with cleanup_');
SELECT is_empty($$
  SELECT signature FROM function WHERE proparallel = 's' AND proname NOT LIKE 'cleanup\_target\_%'$$,
  'what takes locks, looks at the clock or starts workers is not parallel safe');

CREATE FUNCTION pg_temp.columns(type regtype) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
  FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
  WHERE t.oid = type AND a.attnum > 0 AND NOT a.attisdropped
$$;
SELECT is(pg_temp.columns('cleanup_dry_run_result'),
  'policy text, target regclass, action text, strategy text, cutoff timestamp with time zone, '
  'eligible_rows bigint, held_rows bigint, blocked_rows bigint, dependent_rows bigint, files bigint, row_bytes bigint, '
  'oldest timestamp with time zone, newest timestamp with time zone, warnings text[]', 'cleanup_dry_run_result');
SELECT is(pg_temp.columns('cleanup_run_result'),
  'run_id bigint, policy text, target regclass, action text, status text, '
  'rows bigint, dependent_rows bigint, files_queued bigint, row_bytes bigint, batches bigint, '
  'skipped_rows bigint, duration interval, message text', 'cleanup_run_result');
SELECT is(pg_temp.columns('cleanup_stats_result'),
  'policy text, target regclass, enabled boolean, state text, runs bigint, rows bigint, dependent_rows bigint, '
  'row_bytes bigint, files_deleted bigint, files_pending bigint, files_failed bigint, file_bytes bigint, '
  'last_run_at timestamp with time zone, last_status text, last_error text, next_run_at timestamp with time zone, '
  'oldest_row timestamp with time zone, overdue interval, table_rows bigint, table_bytes bigint, '
  'as_of timestamp with time zone', 'cleanup_stats_result');
SELECT is(pg_temp.columns('cleanup_check_result'),
  'check_name text, status text, detail text, hint text', 'cleanup_check_result');

SELECT is(
  (SELECT array_agg(pg_get_function_identity_arguments(oid) ORDER BY proname) FROM function
   WHERE proname IN ('cleanup_stats', 'cleanup_check', 'cleanup_pause', 'cleanup_resume')),
  ARRAY['', 'reason text', 'reason text', 'policy text'], 'arguments of what observes and pauses');

SELECT * FROM finish();
