#!/bin/bash
# The first five minutes with pg_cleanup, as a person would type and see them, on a private server with the data of
# a home security system (test/scenarios/cameras.sql), then four other applications with the policies of examples/. What
# is left of each is compared, row for row, with the truth that was stored when the data was loaded. Nothing is installed
# into the system but missing packages.
#
# DEMO_SCALE (default 20) multiplies the rows. make demo calls this.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../test/tools/lib.sh"
. "$REPO/demo/show.sh"
. "$REPO/demo/truth.sh"
. "$REPO/demo/applications.sh"
tools=$REPO/test/tools
unset MAKEFLAGS MFLAGS MAKELEVEL
begin=$SECONDS

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
prompt "SELECT run_id FROM cleanup_run('old_detections', wait => false)"
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
compare_with_truth cameras

show_applications

printf '\nIn all five applications what is left is exactly what must stay, contents included. (%s seconds)\n' $((SECONDS - begin))
