-- Making, changing and removing policies.
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

CREATE FUNCTION cleanup_drop_policy(policy text) RETURNS void
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'cleanup_drop_policy';
COMMENT ON FUNCTION cleanup_drop_policy IS 'Removes a policy; what it deleted stays in the history and the audit';
