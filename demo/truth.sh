# shellcheck shell=bash
# Compares what is left of a scenario, row for row, with the truth that was stored when its data was loaded: every row of
# must_stay is there, nothing else is, and the rows of must_change, and no others, have changed.

# How must_stay names a row of this table.
identity_of() {
  case $1 in
  agents.session) echo session_id ;;
  agents.connection) echo connection_id ;;
  agents.instruction) echo instruction_id ;;
  agents.acknowledgement) echo acknowledgement_id ;;
  pipelines.operation_step) echo "operation_id || '/' || n" ;;
  *) echo id ;;
  esac
}

# compare_with_truth SCHEMA [SUFFIX]: shows the comparison; fails unless it is exact. Every table of the schema takes part,
# whether or not the truth knows it.
compare_with_truth() {
  local schema=$1 suffix=${2:-} union='' table tables
  tables=$(quiet -c "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = '$schema' AND relkind IN ('r', 'p') AND NOT relispartition AND relname !~ '^(must_(stay|change)|loaded_at$|doomed$)|_archive$'
    ORDER BY 1")
  for table in $tables; do
    [ "$schema.$table" != transcripts.settings ] || continue # the switch has no rows that could go
    union+="${union:+ UNION ALL }SELECT '$table' AS tbl, ($(identity_of "$schema.$table"))::text AS id, to_jsonb(t) AS content FROM $schema.$table t"
  done
  psql -X -q -P pager=off -v ON_ERROR_STOP=1 <<SQL
CREATE TEMP TABLE verdict AS
SELECT coalesce(t.tbl, m.tbl) AS "table",
  count(*) FILTER (WHERE t.content = m.content AND c.id IS NULL) AS "as it was",
  count(*) FILTER (WHERE t.content <> m.content AND c.id IS NOT NULL) AS "changed as it must",
  count(*) FILTER (WHERE m.tbl IS NULL) AS "still there",
  count(*) FILTER (WHERE t.tbl IS NULL) AS "wrongly gone",
  count(*) FILTER (WHERE (t.content <> m.content) <> (c.id IS NOT NULL)) AS "wrongly changed or not"
FROM ($union) t FULL JOIN $schema.must_stay$suffix m ON m.tbl = t.tbl AND m.id = t.id
  LEFT JOIN $schema.must_change$suffix c ON c.tbl = m.tbl AND c.id = m.id
GROUP BY 1 ORDER BY 1;
TABLE verdict;
SELECT bool_and("still there" + "wrongly gone" + "wrongly changed or not" = 0)
  AND sum("as it was" + "changed as it must") = (SELECT count(*) FROM $schema.must_stay$suffix) AS matches FROM verdict \gset
\if :matches \else
\warn what is left does not match
SELECT 1/0;
\endif
SQL
}
