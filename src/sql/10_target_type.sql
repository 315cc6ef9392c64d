-- The type of cleanup_policies.target: a table that a policy is bound to.
--
-- It keeps the table's OID and row type, so a renamed table keeps its policy, and shows (and dumps) as the table's
-- present schema-qualified name. What is loaded from a dump is a name only, and is bound when the table is there; an OID
-- alone never binds to whatever table has that number now.
CREATE TYPE cleanup_target;
CREATE FUNCTION cleanup_target_in(cstring) RETURNS cleanup_target
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cleanup_target_in';
CREATE FUNCTION cleanup_target_out(cleanup_target) RETURNS cstring
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cleanup_target_out';
CREATE TYPE cleanup_target (
  INPUT = cleanup_target_in, OUTPUT = cleanup_target_out, INTERNALLENGTH = 136, ALIGNMENT = int4, STORAGE = plain
);
CREATE FUNCTION cleanup_target_to_regclass(cleanup_target) RETURNS regclass
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cleanup_target_to_regclass';
CREATE FUNCTION cleanup_target_from_regclass(regclass) RETURNS cleanup_target
  LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cleanup_target_from_regclass';
CREATE FUNCTION cleanup_target_is_bound(cleanup_target) RETURNS boolean
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cleanup_target_is_bound';
CREATE CAST (cleanup_target AS regclass) WITH FUNCTION cleanup_target_to_regclass(cleanup_target) AS IMPLICIT;
CREATE CAST (regclass AS cleanup_target) WITH FUNCTION cleanup_target_from_regclass(regclass) AS ASSIGNMENT;

COMMENT ON TYPE cleanup_target IS 'The table of a policy: bound by identity, shown and dumped by name';
COMMENT ON FUNCTION cleanup_target_in(cstring) IS 'Input of cleanup_target: schema.name; the table need not exist yet';
COMMENT ON FUNCTION cleanup_target_out(cleanup_target) IS 'Output of cleanup_target: the present schema.name, or the last known one';
COMMENT ON FUNCTION cleanup_target_to_regclass(cleanup_target) IS 'The bound table, NULL when it is not bound or no longer there';
COMMENT ON FUNCTION cleanup_target_from_regclass(regclass) IS 'Binds to a table that exists';
COMMENT ON FUNCTION cleanup_target_is_bound(cleanup_target) IS 'Whether it knows its table by identity; a name loaded from a dump does not, until its first run';
