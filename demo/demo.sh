#!/bin/bash
# The first five minutes with pg_cleanup, as a person would type and see them, on a private server with the data of
# a home security system (test/scenarios/cameras.sql). In the end what is left is compared, row for row, with the truth
# that was stored when the data was loaded. Nothing is installed into the system but missing packages.
#
# DEMO_SCALE (default 20) multiplies the rows. make demo calls this.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../test/tools/lib.sh"
tools=$REPO/test/tools
unset MAKEFLAGS MFLAGS MAKELEVEL
begin=$SECONDS

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
chapter() { printf '\n%s-- %s%s\n' "$bold" "$*" "$plain"; }
quiet() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# Shows a statement and what psql answers, notices included.
show() {
  printf '\n%s=> %s%s\n' "$bold" "$1" "$plain"
  psql -X -q -P pager=off -P null='' -v ON_ERROR_STOP=1 ${2:+"$2"} -c "$1" 2>&1
}

# Watches a run until it has ended, a line each time that something has moved.
watch() {
  local run=$1 last='' now shown=0 form='%-16s %7s %9s %13s %9s %8s\n'
  local query="SELECT policy, percent, rows, rows_per_second, eta, batches FROM cleanup_progress"
  printf '\n%s=> %s \\watch%s\n' "$bold" "$query" "$plain"
  while [ "$(quiet -c "SELECT status FROM cleanup_runs WHERE run_id = $run")" = running ]; do
    now=$(quiet -F ' ' -P null=- -c "$query WHERE run_id = $run")
    if [ -n "$now" ] && [ "$now" != "$last" ]; then
      # shellcheck disable=SC2059
      [ $shown -gt 0 ] || printf "$form" policy percent rows rows_per_second eta batches
      # shellcheck disable=SC2059,SC2086
      printf "$form" $now
      last=$now shown=$((shown + 1))
    fi
    [ $((SECONDS - begin)) -lt 600 ] || die "run $run does not end"
    sleep 0.2
  done
  [ $shown -gt 0 ] || echo "(the run had ended before it could be watched)"
}

# Every table of the schema but the truth itself, whether or not the truth knows it.
compare() {
  local union
  union=$(quiet -c "SELECT string_agg(format('SELECT %L AS tbl, id::text AS id, to_jsonb(t) AS content FROM %I.%I t', relname,
      nspname, relname), ' UNION ALL ') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = 'cameras' AND relkind IN ('r', 'p') AND NOT relispartition
      AND relname NOT IN ('must_stay', 'must_change', 'loaded_at')")
  psql -X -q -P pager=off -v ON_ERROR_STOP=1 <<SQL
CREATE TEMP TABLE verdict AS
SELECT coalesce(t.tbl, m.tbl) AS "table",
  count(*) FILTER (WHERE t.content = m.content) AS "as it must be",
  count(*) FILTER (WHERE m.tbl IS NULL) AS "still there",
  count(*) FILTER (WHERE t.tbl IS NULL) AS "wrongly gone",
  count(*) FILTER (WHERE t.content <> m.content) AS "changed"
FROM ($union) t FULL JOIN cameras.must_stay m ON m.tbl = t.tbl AND m.id = t.id
GROUP BY 1 ORDER BY 1;
TABLE verdict;
SELECT bool_and("still there" + "wrongly gone" + "changed" = 0) AND sum("as it must be") = (SELECT count(*) FROM cameras.must_stay)
  AS matches FROM verdict \gset
\if :matches \else
\warn what is left does not match
SELECT 1/0;
\endif
SQL
}

"$tools/ensure_packages" build run
echo "Building pg_cleanup and starting a private server ..."
"$tools/private_install" >/dev/null
trap 'if [ -n "${PG_CLEANUP_SERVER:-}" ]; then "$tools/server" destroy "$PG_CLEANUP_SERVER"; fi' EXIT
trap 'exit 130' INT TERM HUP
unset PG_CLEANUP_SERVER
environment=$("$tools/server" start -o shared_preload_libraries=pg_cleanup)
eval "$environment"
quiet -c "CREATE DATABASE cameras"
export PGDATABASE=cameras
quiet -v scale="${DEMO_SCALE:-20}" -f "$REPO/test/scenarios/cameras.sql" 2>/dev/null

chapter "A home security system: what there is"
show "SELECT count(*) AS detections, min(detected_at)::date AS oldest,
     pg_size_pretty(pg_total_relation_size('cameras.detection')) AS size FROM cameras.detection"

chapter "Declare what goes, and when"
show "CREATE EXTENSION pg_cleanup"
show "SELECT cleanup_add_policy('old_detections', 'cameras.detection', 'detected_at', '30 days')"
show "SELECT cleanup_add_policy('old_events', 'cameras.event', 'started_at', '30 days')"
show "SELECT cleanup_add_policy('old_gpu_stats', 'cameras.gpu_stats', 'recorded_at', '30 days')"
show "SELECT cleanup_add_policy('old_log', 'cameras.log', 'timestamp', '7 days')"

chapter "Look before anything goes"
show "SELECT * FROM cleanup_preview('old_events', 3)" -x
show "SELECT * FROM cleanup_dry_run()" -x

chapter "Run one policy in the background, and watch it"
printf "\n%s=> SELECT run_id FROM cleanup_run('old_detections', wait => false)%s\n" "$bold" "$plain"
run=$(quiet -c "SELECT run_id FROM cleanup_run('old_detections', wait => false)")
printf ' run_id \n--------\n %6s\n' "$run"
watch "$run"
show "SELECT policy, status, strategy, rows, batches, skipped_rows, finished_at - started_at AS duration
     FROM cleanup_run_targets WHERE run_id = $run"

chapter "Run everything that is due, and wait for it"
show "SELECT * FROM cleanup_run()"

chapter "From now on by itself, each night; and somebody on call may run and stop it"
show "SELECT cleanup_schedule('*', at => '03:00', run_window => '22:00-06:00')"
quiet -c "CREATE ROLE on_call"
show "SELECT cleanup_grant('on_call', 'operator')"

chapter "What was done, and is all well?"
show "SELECT policy, target, runs, rows, dependent_rows, pg_size_pretty(row_bytes) AS size, last_status, next_run_at
     FROM cleanup_stats()"
show "SELECT * FROM cleanup_check()"

chapter "Compare what is left with the truth stored at loading, row for row"
if compare; then
  printf '\nWhat is left is exactly what must stay, contents included. (%s seconds)\n' $((SECONDS - begin))
else
  printf '\nWhat is left is NOT what must stay.\n'
  exit 1
fi
