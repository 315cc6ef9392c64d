#!/bin/sh
# What the companion says about itself, and to arguments that it does not know.
# Usage: version_test.sh [PROGRAM]; the default is $PG_CLEANUP_PROGRAM.
set -u

program=${1:-${PG_CLEANUP_PROGRAM:?which program?}}
meta=$(dirname "$0")/../../META.json
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
  echo "FAILED: $1"
  sed 's/^/  stdout: /' "$work/out"
  sed 's/^/  stderr: /' "$work/err"
  failures=$((failures + 1))
}

# run EXPECTED_EXIT ARGUMENT...
run() {
  expected=$1
  shift
  label="pg-cleanup $*"
  "$program" "$@" >"$work/out" 2>"$work/err"
  actual=$?
  [ "$actual" -eq "$expected" ] || fail "$label: exit $actual, not $expected"
}

# Help is wrapped where the version of CLI11 likes to.
says() { tr -s "[:space:]" " " <"$work/$1" | grep -qF -e "$2" || fail "$label: nothing like '$2' on $1"; }
is_silent() { [ ! -s "$work/$1" ] || fail "$label: $1 is not empty"; }

version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$meta")
[ -n "$version" ] || { echo "no version in $meta"; exit 1; }

for option in --version -V; do
  run 0 $option
  [ "$(cat "$work/out")" = "pg-cleanup $version" ] || fail "$label: not exactly 'pg-cleanup $version'"
  is_silent err
done

for option in --help -h; do
  run 0 $option
  says out "pg-cleanup [OPTIONS]"
  says out "--version"
  says out "no commands yet"
  is_silent err
done

for argument in --no-such-option no-such-command; do
  run 2 $argument
  says err "$argument"
  says err "--help"
  is_silent out
done

run 2
says err "nothing to do"
is_silent out

# A reader that is gone or a full disk must not look like success.
label="pg-cleanup --version on a full disk"
: >"$work/out"
"$program" --version >/dev/full 2>"$work/err"
actual=$?
[ "$actual" -eq 1 ] || fail "$label: exit $actual, not 1"

[ "$failures" -eq 0 ] && echo "ok"
exit "$((failures > 0))"
