# shellcheck shell=bash
# Other applications, each with the policies that examples/ has for it: imported, looked at, run, compared with the truth.

# application TITLE SCHEMA EXAMPLE [SUFFIX OF ITS TRUTH]
application() {
  local title=$1 schema=$2 example=$3 suffix=${4:-}
  chapter "$title"
  quiet -d postgres -c "CREATE DATABASE $schema"
  export PGDATABASE=$schema
  quiet -v scale=1 -f "$REPO/test/scenarios/$schema.sql" 2>/dev/null
  quiet -c "CREATE EXTENSION pg_cleanup"
  prompt "SELECT cleanup_import_policies(:'policies') -- examples/$example.json"
  psql -X -q -P pager=off -v ON_ERROR_STOP=1 -v policies="$(cat "$REPO/examples/$example.json")" <<<"SELECT cleanup_import_policies(:'policies')"
  show "SELECT policy, action, strategy, eligible_rows, blocked_rows, dependent_rows FROM cleanup_dry_run()"
  show "SELECT policy, action, status, rows, dependent_rows, duration FROM cleanup_run()"
  compare_with_truth "$schema" "$suffix"
}

show_applications() {
  application "A transcription service: meetings and recordings go with their transcripts, unless others use them" transcripts transcripts
  application "A data platform: what goes is kept as a copy for a week, and can be put back" pipelines pipelines
  show "SELECT * FROM cleanup_restore((SELECT max(run_id) FROM cleanup_runs), 'failed_operations')"
  application "Therapy sessions: failed ones lose their audio, the record stays" therapy therapy
  application "Laboratory agents: rows are closed and redacted rather than deleted" agents agents-default _default
}
