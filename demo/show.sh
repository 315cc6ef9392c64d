# shellcheck shell=bash
# What the demo shows: statements as a person would type them, and what psql answers.

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
prompt() { printf '\n%s=> %s%s\n' "$bold" "$1" "$plain"; }
chapter() { printf '\n%s-- %s%s\n' "$bold" "$*" "$plain"; }
quiet() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# Shows a statement and what psql answers, notices included.
show() {
  prompt "$1"
  psql -X -q -P pager=off -P null='' -v ON_ERROR_STOP=1 ${2:+"$2"} -c "$1" 2>&1
}

# Watches a run until it has ended, a line each time that something has moved.
# shellcheck disable=SC2154 # demo.sh sets begin
watch() {
  local run=$1 last='' now shown=0 form='%-16s %7s %9s %13s %9s %8s\n'
  local query="SELECT policy, percent, rows, rows_per_second, eta, batches FROM cleanup_progress"
  prompt "$query \\watch"
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
