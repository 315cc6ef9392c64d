-- Whether policies can run, and what keeps them from it.
CREATE TYPE cleanup_policy_state AS (policy text, target text, state text, reason text);
COMMENT ON TYPE cleanup_policy_state IS 'A row of cleanup_policy_states';
CREATE FUNCTION cleanup_policy_states(policy text DEFAULT '*') RETURNS SETOF cleanup_policy_state
  LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_policy_states';
COMMENT ON FUNCTION cleanup_policy_states(text) IS 'Of each policy that the caller may manage: ready, disabled, unbound or broken, and why';
