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
