#!/bin/bash
# Proves that a clone demos and tests itself on a machine that has nothing: a Debian chroot with only git, make and
# ca-certificates. As root: make demo and make test, twice in a row; then make test as a user who may use sudo.
#
# usage: run.sh [--suite bookworm]
#
# Needs root (or sudo) and a Debian mirror: the one that this machine's apt uses. Exit status 77: the chroot could not be
# made. The bare chroot and the packages are kept in ~/.cache/pg_cleanup (PG_CLEANUP_CHROOT_CACHE); the chroot itself is
# made anew in PG_CLEANUP_CHROOT_BASE (default /var/tmp) and removed in the end.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite=bookworm inside=''
while [ $# -gt 0 ]; do
    case $1 in
    --suite) suite=$2; shift 2 ;;
    --cache) cache=$2; shift 2 ;;
    --in-namespace) inside=$2; shift 2 ;;
    *) die "usage: run.sh [--suite SUITE]" ;;
    esac
done

round() {
    say "--- $suite: $*"
    in_chroot "$inside" "$@" || die "$suite: failed: $*"
    check_untouched "$inside"
}

# --- second half: alone in namespaces ---------------------------------------------------------------------------------
if [ -n "$inside" ]; then
    mount_chroot "$suite" "$inside"
    git -c advice.detachedHead=false clone -q --no-hardlinks "$REPO" "$inside/root/pg_cleanup"
    # A plain make, before anything is there, names the missing package.
    if said=$(in_chroot "$inside" make -C /root/pg_cleanup 2>&1); then die "make worked without PostgreSQL's headers"; fi
    [[ $said == *"package postgresql-server-dev-"* ]] || die "make does not say what is missing: $said"

    for _ in 1 2; do
        round make -C /root/pg_cleanup --no-print-directory demo
        round make -C /root/pg_cleanup --no-print-directory test
    done
    # Something must be missing for sudo to be tried.
    in_chroot "$inside" apt-get -qq -y purge python3-pytest-timeout >/dev/null 2>&1
    in_chroot "$inside" apt-get -qq -y --no-install-recommends install sudo >/dev/null 2>&1
    in_chroot "$inside" useradd -m -s /bin/bash tester
    echo 'tester ALL=(ALL) NOPASSWD: ALL' >"$inside/etc/sudoers.d/tester"
    git -c advice.detachedHead=false clone -q --no-hardlinks "$REPO" "$inside/home/tester/pg_cleanup"
    in_chroot "$inside" chown -R tester: /home/tester/pg_cleanup
    round setpriv --reuid=tester --regid=tester --init-groups env HOME=/home/tester \
        make -C /home/tester/pg_cleanup --no-print-directory test
    exit 0
fi

# --- first half -------------------------------------------------------------------------------------------------------
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || skip "chroots need root, and sudo is not there"
    exec sudo "$0" --suite "$suite" --cache "$cache"
fi
require_chroots
base=${PG_CLEANUP_CHROOT_BASE:-/var/tmp}
mkdir -p "$base"
lock_suite "$suite"

tree=
# The namespace is gone by then, and its mounts with it; --one-file-system is for the day on which they are not.
trap '[ -z "$tree" ] || rm -rf --one-file-system "$tree"' EXIT
trap 'exit 130' INT TERM HUP
tree=$(mktemp -d "$base/pgcc.XXXXXX")
unpack "$suite" "$tree"
apart "$0" --suite "$suite" --cache "$cache" --in-namespace "$tree"
say "$suite: all passed"
