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

ALTER TABLE cleanup_archives ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_archives FOR SELECT
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
