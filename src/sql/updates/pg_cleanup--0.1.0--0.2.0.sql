\echo Use "ALTER EXTENSION pg_cleanup UPDATE" to load this file. \quit
-- From 0.1.0: levels, row-level security and schedules. Statements as in the install script, in an order in which they work here; the
-- names of 0.1.0's own objects are not touched.

-- More that a policy can say. The functions that take it are made anew; whoever was granted the old ones has the new ones.
ALTER TABLE cleanup_policies
  ADD COLUMN keep_last int,
  ADD COLUMN keep_per text[],
  ADD COLUMN partitions text NOT NULL DEFAULT 'drop',
  ADD COLUMN split_families boolean NOT NULL DEFAULT false;
ALTER FUNCTION cleanup_add_policy RENAME TO cleanup_add_policy_0_1;
ALTER FUNCTION cleanup_alter_policy RENAME TO cleanup_alter_policy_0_1;
CREATE FUNCTION cleanup_add_policy(
  policy text, target regclass,
  age_column name DEFAULT NULL, retain interval DEFAULT NULL, condition text DEFAULT NULL,
  action text DEFAULT 'delete', set_values jsonb DEFAULT NULL, age_unit text DEFAULT NULL, guard text DEFAULT NULL,
  on_reference text DEFAULT 'follow', archive_to text DEFAULT NULL, archive_retain interval DEFAULT '7 days',
  batch_size int DEFAULT NULL, refuse_above_rows bigint DEFAULT NULL, refuse_above_fraction float8 DEFAULT NULL,
  time_zone text DEFAULT NULL, priority int DEFAULT 100, enabled boolean DEFAULT true, description text DEFAULT NULL,
  keep_last int DEFAULT NULL, keep_per text[] DEFAULT NULL, partitions text DEFAULT 'drop',
  split_families boolean DEFAULT false
) RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_add_policy';
COMMENT ON FUNCTION cleanup_add_policy IS 'Declares which rows of a table are due, and what happens to them; runs nothing. Returns the policy''s id';
CREATE FUNCTION cleanup_alter_policy(
  policy text, target regclass DEFAULT NULL,
  age_column name DEFAULT NULL, retain interval DEFAULT NULL, condition text DEFAULT NULL,
  action text DEFAULT NULL, set_values jsonb DEFAULT NULL, age_unit text DEFAULT NULL, guard text DEFAULT NULL,
  on_reference text DEFAULT NULL, archive_to text DEFAULT NULL, archive_retain interval DEFAULT NULL,
  batch_size int DEFAULT NULL, refuse_above_rows bigint DEFAULT NULL, refuse_above_fraction float8 DEFAULT NULL,
  time_zone text DEFAULT NULL, priority int DEFAULT NULL, enabled boolean DEFAULT NULL, description text DEFAULT NULL,
  keep_last int DEFAULT NULL, keep_per text[] DEFAULT NULL, partitions text DEFAULT NULL,
  split_families boolean DEFAULT NULL,
  clear text[] DEFAULT '{}'
) RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_alter_policy';
COMMENT ON FUNCTION cleanup_alter_policy IS 'Changes what is given of a policy, and sets to NULL what clear names';
DO $$
DECLARE
  old record;
  one record;
BEGIN
  FOR old IN SELECT p.oid, p.proacl, p.proowner, replace(p.proname, '_0_1', '') AS name FROM pg_catalog.pg_proc AS p
             JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
             WHERE p.proname IN ('cleanup_add_policy_0_1', 'cleanup_alter_policy_0_1')
               AND d.refobjid = (SELECT e.oid FROM pg_catalog.pg_extension AS e WHERE e.extname = 'pg_cleanup') LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION @extschema@.%I FROM PUBLIC', old.name);
    FOR one IN SELECT a.grantee::pg_catalog.regrole AS grantee, a.is_grantable FROM pg_catalog.aclexplode(old.proacl) AS a
               WHERE a.grantee <> 0 AND a.grantee <> old.proowner LOOP
      EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION @extschema@.%I TO %s%s', old.name, one.grantee,
        CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    IF EXISTS (SELECT FROM pg_catalog.aclexplode(old.proacl) AS a WHERE a.grantee = 0) THEN
      EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION @extschema@.%I TO PUBLIC', old.name);
    END IF;
  END LOOP;
END $$;
DROP FUNCTION cleanup_add_policy_0_1;
DROP FUNCTION cleanup_alter_policy_0_1;

-- A preview also shows what an update would set.
ALTER TYPE cleanup_preview_result ADD ATTRIBUTE new_values jsonb;
COMMENT ON TYPE cleanup_preview_result IS 'A row that a policy would delete or update, its age, why it is due or stays, and what an update would set';
COMMENT ON TYPE cleanup_dry_run_result IS 'What a run of one policy would do: it deletes, or updates, eligible_rows - held_rows - blocked_rows';
COMMENT ON FUNCTION cleanup_preview(text, int)
  IS 'Some of the rows that a policy would delete or update now, oldest first where an index serves, and why';
COMMENT ON FUNCTION cleanup_dry_run(text, interval, timestamptz, timestamptz)
  IS 'How many rows a policy, or every enabled one, would delete or update now, how, and with which warnings; changes nothing';

-- The audit names policies by their number. Older rows have none: only who sees every policy sees them.
ALTER TABLE cleanup_audit ADD COLUMN policy_id bigint;
CREATE INDEX cleanup_audit_policy_id ON cleanup_audit (policy_id);
COMMENT ON COLUMN cleanup_audit.policy_id IS 'The policy, whatever it is called now; NULL where the row is about no policy';

-- Who may do what beyond his own tables. Keyed by the role's name, so that it survives a dump; which role that was is kept
-- apart and is not dumped: a grant counts only for the role that it was given to, never for another of the same name.
CREATE TABLE cleanup_grants (
  grant_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  role name NOT NULL,
  level text NOT NULL CHECK (level IN ('viewer', 'operator', 'owner', 'admin', 'sidecar')),
  policy text REFERENCES cleanup_policies (policy) ON UPDATE CASCADE ON DELETE CASCADE,
  granted_by name NOT NULL DEFAULT current_user,
  granted_at timestamptz NOT NULL DEFAULT now(),
  CHECK (policy IS NULL OR level IN ('viewer', 'operator', 'admin'))
);
CREATE INDEX cleanup_grants_policy ON cleanup_grants (policy);
COMMENT ON TABLE cleanup_grants IS 'Levels that roles were granted; changed by cleanup_grant and cleanup_revoke';
COMMENT ON COLUMN cleanup_grants.policy IS 'The only policy that the level is for; NULL: every policy, also those to come';

CREATE TABLE cleanup_grant_bindings (
  grant_id bigint PRIMARY KEY REFERENCES cleanup_grants ON DELETE CASCADE,
  role oid NOT NULL
);
COMMENT ON TABLE cleanup_grant_bindings IS 'The role that each grant was given to; not dumped. A grant that is not here is not in force';

-- What a dump brings back counts for the role that has the name at that moment. ALWAYS: whatever session_replication_role says.
CREATE FUNCTION cleanup_grant_bind() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_grant_bind';
COMMENT ON FUNCTION cleanup_grant_bind() IS 'Trigger of cleanup_grants: remembers which role has the name';
CREATE TRIGGER cleanup_grant_bind AFTER INSERT ON cleanup_grants FOR EACH ROW EXECUTE FUNCTION cleanup_grant_bind();
ALTER TABLE cleanup_grants ENABLE ALWAYS TRIGGER cleanup_grant_bind;

-- Levels: what a role may do with policies on tables that it does not own.
CREATE FUNCTION cleanup_grant(role name, level text, policy text DEFAULT NULL) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_grant';
COMMENT ON FUNCTION cleanup_grant(name, text, text)
  IS 'Gives a role a level (viewer, operator, owner, admin, sidecar) for one policy, or for every one';
CREATE FUNCTION cleanup_revoke(role name, level text, policy text DEFAULT NULL) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_revoke';
COMMENT ON FUNCTION cleanup_revoke(name, text, text) IS 'Takes back what cleanup_grant gave with the same arguments';

-- What row-level security asks. Functions, so that a table's test does not depend on what else the reader may read.
CREATE FUNCTION cleanup_sees_every_policy() RETURNS boolean
  LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_sees_every_policy';
COMMENT ON FUNCTION cleanup_sees_every_policy() IS 'Whether the caller may see every policy, and what is left of those that are gone';
CREATE FUNCTION cleanup_visible_policies() RETURNS bigint[]
  LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_visible_policies';
COMMENT ON FUNCTION cleanup_visible_policies() IS 'The ids of the policies that the caller may see';

ALTER VIEW cleanup_progress SET (security_invoker = true);

-- A role sees what belongs to policies on tables that it owns or was granted. What left its policy behind is for those who
-- see every policy: a name or a table of today says nothing about whose it was. The tables' owner, who does the bookkeeping,
-- sees all.
ALTER TABLE cleanup_policies ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_policies
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]))
  WITH CHECK (true); -- the triggers check what is written

ALTER TABLE cleanup_bindings ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_bindings FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]));

ALTER TABLE cleanup_totals ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_totals FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]));

ALTER TABLE cleanup_run_targets ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_run_targets FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]));

-- Also a run that has not come to a policy yet, for who asked for it.
ALTER TABLE cleanup_runs ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_runs FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR requested_by = current_user
    OR EXISTS (SELECT FROM cleanup_run_targets t WHERE t.run_id = cleanup_runs.run_id));

-- A pause concerns everybody.
ALTER TABLE cleanup_audit ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_audit FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[])
    OR (policy_id IS NULL AND run_id IS NOT NULL
      AND EXISTS (SELECT FROM cleanup_runs r WHERE r.run_id = cleanup_audit.run_id))
    OR event IN ('pause', 'resume'));

ALTER TABLE cleanup_grant_bindings ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_grant_bindings FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR pg_catalog.pg_has_role(role, 'USAGE'));

ALTER TABLE cleanup_grants ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_grants FOR SELECT
  USING ((SELECT cleanup_sees_every_policy())
    OR EXISTS (SELECT FROM cleanup_grant_bindings b WHERE b.grant_id = cleanup_grants.grant_id));

-- When policies run by themselves. Dumped; what has become of each schedule is not (cleanup_schedule_states).
CREATE TABLE cleanup_schedules (
  schedule_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  policy_id bigint REFERENCES cleanup_policies ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('at', 'every', 'cron')),
  at time, every interval, cron text,
  run_window text,
  time_zone text NOT NULL DEFAULT current_setting('TimeZone'),
  job_name text,
  created_by name NOT NULL DEFAULT current_user,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE NULLS NOT DISTINCT (policy_id),
  CHECK (num_nonnulls(at, every, cron) = 1 AND CASE kind WHEN 'at' THEN at IS NOT NULL WHEN 'every' THEN every IS NOT NULL ELSE cron IS NOT NULL AND job_name IS NOT NULL END)
);
COMMENT ON TABLE cleanup_schedules IS 'When policies run by themselves: cleanup_schedule and cleanup_unschedule';
COMMENT ON COLUMN cleanup_schedules.policy_id IS 'NULL: every enabled policy';
COMMENT ON COLUMN cleanup_schedules.time_zone IS 'Of a schedule for every policy; else the policy''s own counts';
COMMENT ON COLUMN cleanup_schedules.job_name IS 'Of kind cron: the job''s name in pg_cron, where it belongs to created_by';
COMMENT ON COLUMN cleanup_schedules.created_at IS 'By the clock of schedules; every counts from here';

-- Empty after a restore: schedules then begin with the next time that comes.
CREATE TABLE cleanup_schedule_states (
  schedule_id bigint PRIMARY KEY REFERENCES cleanup_schedules ON DELETE CASCADE,
  handled_until timestamptz,
  unfinished boolean NOT NULL DEFAULT false,
  runs bigint NOT NULL DEFAULT 0,
  missed bigint NOT NULL DEFAULT 0,
  overlapped bigint NOT NULL DEFAULT 0,
  last_run_id bigint
);
COMMENT ON TABLE cleanup_schedule_states IS 'What became of each schedule; not dumped';
COMMENT ON COLUMN cleanup_schedule_states.handled_until IS 'Every time of the schedule up to here was run, or is counted; NULL while the policy is disabled';
COMMENT ON COLUMN cleanup_schedule_states.unfinished IS 'The last run was stopped by the end of its window, and goes on in the next';
COMMENT ON COLUMN cleanup_schedule_states.missed IS 'Times that were never run: nobody was there to run them, or several had passed at once';
COMMENT ON COLUMN cleanup_schedule_states.overlapped IS 'Times that came while the run before was still at work';

-- When policies run.
CREATE FUNCTION cleanup_schedule(
  policy text DEFAULT '*', cron text DEFAULT NULL, at time DEFAULT NULL, every interval DEFAULT NULL,
  run_window text DEFAULT NULL
) RETURNS timestamptz LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_schedule';
COMMENT ON FUNCTION cleanup_schedule(text, text, time, interval, text)
  IS 'Sets when a policy, or every enabled one, runs; replaces its schedule. Returns the next time';

CREATE FUNCTION cleanup_unschedule(policy text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_unschedule';
COMMENT ON FUNCTION cleanup_unschedule(text) IS 'Removes the schedule of a policy, or with ''*'' the one for every policy; a run that is going on goes on';

-- The launcher must know of every change at once, also of those by hand and by a restore.
CREATE FUNCTION cleanup_schedules_changed() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_schedules_changed';
COMMENT ON FUNCTION cleanup_schedules_changed() IS 'Trigger of cleanup_schedules and cleanup_policies: wakes the launcher when the transaction commits';
CREATE TRIGGER cleanup_schedules_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cleanup_schedules
  FOR EACH STATEMENT EXECUTE FUNCTION cleanup_schedules_changed();
CREATE TRIGGER cleanup_schedules_changed AFTER UPDATE OR DELETE OR TRUNCATE ON cleanup_policies
  FOR EACH STATEMENT EXECUTE FUNCTION cleanup_schedules_changed();
ALTER TABLE cleanup_schedules ENABLE ALWAYS TRIGGER cleanup_schedules_changed;
ALTER TABLE cleanup_policies ENABLE ALWAYS TRIGGER cleanup_schedules_changed;

CREATE FUNCTION cleanup_run_scheduled(schedule_id bigint) RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_run_scheduled';
COMMENT ON FUNCTION cleanup_run_scheduled(bigint) IS 'What jobs of pg_cron call: starts the run of a schedule, unless it may not run now. Returns the run''s id';

-- As in the file before; the schedule for every policy concerns everybody.
ALTER TABLE cleanup_schedules ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_schedules FOR SELECT
  USING (policy_id IS NULL OR (SELECT cleanup_sees_every_policy())
    OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]));

ALTER TABLE cleanup_schedule_states ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_schedule_states FOR SELECT
  USING (EXISTS (SELECT FROM cleanup_schedules s WHERE s.schedule_id = cleanup_schedule_states.schedule_id));

-- Relations: rows of other tables that go with a policy's rows without a foreign key. Dumped, by the names of their tables; what
-- they are bound to is not.
CREATE TABLE cleanup_relations (
  relation_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  policy_id bigint NOT NULL REFERENCES cleanup_policies ON DELETE CASCADE,
  related cleanup_target NOT NULL,
  on_columns jsonb NOT NULL,
  unless_referenced boolean NOT NULL DEFAULT true,
  created_by name NOT NULL DEFAULT current_user,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cleanup_relations_policy_id ON cleanup_relations (policy_id);
COMMENT ON TABLE cleanup_relations IS 'Rows of other tables that go with a policy''s rows: cleanup_add_relation and cleanup_drop_relation';
COMMENT ON COLUMN cleanup_relations.on_columns IS 'Which columns must be equal: {"column of the target": "column of the related table"}';
COMMENT ON COLUMN cleanup_relations.unless_referenced IS 'A related row stays while a row that stays needs it';

-- Statements by hand are checked like the functions, as the role that runs them; every change is audited. ALWAYS: whatever
-- session_replication_role says.
CREATE FUNCTION cleanup_relation_check() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_relation_check';
COMMENT ON FUNCTION cleanup_relation_check() IS 'Trigger of cleanup_relations: checks a statement made by hand';
CREATE FUNCTION cleanup_relation_changed() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_relation_changed';
COMMENT ON FUNCTION cleanup_relation_changed() IS 'Trigger of cleanup_relations: binds the policy to what it refers to now, and audits changes';
CREATE TRIGGER cleanup_relation_check BEFORE INSERT OR UPDATE OR DELETE ON cleanup_relations
  FOR EACH ROW EXECUTE FUNCTION cleanup_relation_check();
CREATE TRIGGER cleanup_relation_changed AFTER INSERT OR UPDATE OR DELETE ON cleanup_relations
  FOR EACH ROW EXECUTE FUNCTION cleanup_relation_changed();
ALTER TABLE cleanup_relations ENABLE ALWAYS TRIGGER cleanup_relation_check;
ALTER TABLE cleanup_relations ENABLE ALWAYS TRIGGER cleanup_relation_changed;

-- Rows of other tables that go with a policy's rows.
CREATE FUNCTION cleanup_add_relation(
  policy text, related regclass, on_columns jsonb, unless_referenced boolean DEFAULT true
) RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_add_relation';
COMMENT ON FUNCTION cleanup_add_relation(text, regclass, jsonb, boolean)
  IS 'Declares that rows of a table go with the policy''s rows that they match; runs nothing. Returns the relation''s id';

CREATE FUNCTION cleanup_drop_relation(policy text, related regclass, on_columns jsonb DEFAULT NULL) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_drop_relation';
COMMENT ON FUNCTION cleanup_drop_relation(text, regclass, jsonb)
  IS 'Removes a policy''s relations to a table, or the one on these columns; its rows no longer go along';

-- As for policies.
ALTER TABLE cleanup_relations ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_relations
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]))
  WITH CHECK (true); -- the triggers check what is written

CREATE TYPE cleanup_dry_run_detail_result AS (
  dependent regclass, link text, path text[], action text, rows bigint, files bigint, indexed boolean, owner name, note text, hint text
);
COMMENT ON TYPE cleanup_dry_run_detail_result IS 'What a run of one policy would do to a dependent table by one foreign key or relation';

CREATE FUNCTION cleanup_dry_run_detail(policy text) RETURNS SETOF cleanup_dry_run_detail_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20 AS 'MODULE_PATHNAME', 'cleanup_dry_run_detail';
COMMENT ON FUNCTION cleanup_dry_run_detail(text)
  IS 'Each foreign key and relation that a run of the policy meets: which rows go, change or block by it; changes nothing';

-- Only what is new: what somebody granted on the rest is his.
REVOKE ALL ON FUNCTION cleanup_grant_bind() FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_grant(name, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_revoke(name, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_sees_every_policy() FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_visible_policies() FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_schedule(text, text, time, interval, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_unschedule(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_run_scheduled(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_schedules_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_relation_check() FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_relation_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_add_relation(text, regclass, jsonb, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_drop_relation(text, regclass, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION cleanup_dry_run_detail(text) FROM PUBLIC;
REVOKE ALL ON TYPE cleanup_dry_run_detail_result FROM PUBLIC;

-- A grant that is not in force, or whose role has another name by now, could come to life for somebody else: it stays behind.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_grants',
  'WHERE EXISTS (SELECT FROM @extschema@.cleanup_grant_bindings b JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) b.role '
  'WHERE b.grant_id OPERATOR(pg_catalog.=) cleanup_grants.grant_id AND r.rolname OPERATOR(pg_catalog.=) cleanup_grants.role)');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_grants', 'grant_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_schedules', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_schedules', 'schedule_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_relations', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_relations', 'relation_id'), '');

-- Archives.
ALTER TABLE cleanup_policies ALTER COLUMN archive_retain DROP NOT NULL;
ALTER TABLE cleanup_run_targets DROP CONSTRAINT cleanup_run_targets_kind_check;
ALTER TABLE cleanup_run_targets ADD CONSTRAINT cleanup_run_targets_kind_check
  CHECK (kind IN ('target', 'dependent', 'archive', 'restore'));
-- Which tables are archives, of which table, for which policy: a row per policy and archive. Without its row a table that is
-- in the place of an archive is somebody else's, and is left alone.
CREATE TABLE cleanup_archives (
  archive_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  archive cleanup_target NOT NULL,
  source cleanup_target NOT NULL,
  policy_id bigint NOT NULL,
  policy text NOT NULL,
  named_by_us boolean NOT NULL,
  added_columns jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cleanup_archives_policy ON cleanup_archives (policy_id);
COMMENT ON TABLE cleanup_archives IS 'The archive tables of policies with the action archive: written by runs';
COMMENT ON COLUMN cleanup_archives.archive IS 'Where the rows of source are archived';
COMMENT ON COLUMN cleanup_archives.source IS 'The target of the policy, or a table whose rows go along';
COMMENT ON COLUMN cleanup_archives.policy_id IS 'The policy, whatever it is called now; its rows stay registered when it is dropped';
COMMENT ON COLUMN cleanup_archives.named_by_us IS 'Whether the archive has the default name, so that it stays the archive when source is renamed';
COMMENT ON COLUMN cleanup_archives.added_columns IS 'Columns that source got later, and when the archive got them: rows archived before have no value of them';
ALTER TABLE cleanup_archives ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_archives FOR SELECT
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]));
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_archives', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_archives', 'archive_id'), '');
-- Archived rows name their runs: a number that is given out again would restore rows of another run.
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_runs', 'run_id'), '');
CREATE TYPE cleanup_restore_result AS (
  run_id bigint, policy text, relation regclass, status text, rows bigint, reset_references bigint, conflicts bigint,
  row_key jsonb, message text
);
COMMENT ON TYPE cleanup_restore_result IS 'What a restore did in one table; or, with status conflict, a row that it left in the archive, and why';

CREATE FUNCTION cleanup_restore(run_id bigint, policy text DEFAULT NULL, condition text DEFAULT NULL)
  RETURNS SETOF cleanup_restore_result
  LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'cleanup_restore';
COMMENT ON FUNCTION cleanup_restore(bigint, text, text)
  IS 'Puts the rows that a run archived back into their tables, all of them or those that meet a condition';
REVOKE ALL ON FUNCTION cleanup_restore(bigint, text, text) FROM PUBLIC;
REVOKE ALL ON TYPE cleanup_restore_result FROM PUBLIC;
