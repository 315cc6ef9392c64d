-- Statements by hand are checked like cleanup_add_policy and cleanup_alter_policy, as the role that runs them; every change
-- is audited. ALWAYS: whatever session_replication_role says.
CREATE FUNCTION cleanup_policy_check() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_policy_check';
COMMENT ON FUNCTION cleanup_policy_check() IS 'Trigger of cleanup_policies: checks a statement made by hand';
CREATE FUNCTION cleanup_policy_changed() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_policy_changed';
COMMENT ON FUNCTION cleanup_policy_changed() IS 'Trigger of cleanup_policies: binds what a statement by hand declared, and audits changes';

CREATE TRIGGER cleanup_policy_check BEFORE INSERT OR UPDATE OR DELETE ON cleanup_policies
  FOR EACH ROW EXECUTE FUNCTION cleanup_policy_check();
CREATE TRIGGER cleanup_policy_changed AFTER INSERT OR UPDATE OR DELETE ON cleanup_policies
  FOR EACH ROW EXECUTE FUNCTION cleanup_policy_changed();
ALTER TABLE cleanup_policies ENABLE ALWAYS TRIGGER cleanup_policy_check;
ALTER TABLE cleanup_policies ENABLE ALWAYS TRIGGER cleanup_policy_changed;
