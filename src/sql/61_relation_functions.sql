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
