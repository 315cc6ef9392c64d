-- Policies as JSON, to carry them from one database to another.
CREATE FUNCTION cleanup_export_policies() RETURNS jsonb
  LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_export_policies';
COMMENT ON FUNCTION cleanup_export_policies() IS 'The policies that the caller may manage, as an array for cleanup_import_policies';

CREATE FUNCTION cleanup_import_policies(policies jsonb, replace boolean DEFAULT false) RETURNS int
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_import_policies';
COMMENT ON FUNCTION cleanup_import_policies(jsonb, boolean) IS 'Makes the policies of an export, all or none; returns how many';
