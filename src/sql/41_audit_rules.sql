-- cleanup_audit is append-only for everyone but its owner, granted or not. ALWAYS: whatever session_replication_role says.
CREATE FUNCTION cleanup_audit_guard() RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_audit_guard';
COMMENT ON FUNCTION cleanup_audit_guard() IS 'Trigger of cleanup_audit: refuses UPDATE, DELETE and TRUNCATE to all but its owner';
CREATE TRIGGER cleanup_audit_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON cleanup_audit
  FOR EACH STATEMENT EXECUTE FUNCTION cleanup_audit_guard();
ALTER TABLE cleanup_audit ENABLE ALWAYS TRIGGER cleanup_audit_guard;
