-- As for policies.
ALTER TABLE cleanup_relations ENABLE ROW LEVEL SECURITY;
CREATE POLICY cleanup_visible ON cleanup_relations
  USING ((SELECT cleanup_sees_every_policy()) OR policy_id = ANY ((SELECT cleanup_visible_policies())::bigint[]))
  WITH CHECK (true); -- the triggers check what is written
