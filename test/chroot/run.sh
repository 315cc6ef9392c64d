#!/bin/bash
# Proves that a clone demos and tests itself on a machine that has nothing: a Debian chroot with only git, make and
# ca-certificates. As root: make demo and make test, twice in a row; then make test as a user who may use sudo.
#
# usage: run.sh [--suite bookworm] [--once]     --once: only one make test, as root
#
# Needs root (or sudo) and a Debian mirror: the one that this machine's apt uses. Exit status 77: the chroot could not be
# made. The bare chroot and the packages are kept in ~/.cache/pg_cleanup (XDG_CACHE_HOME); the chroot itself goes to
# PG_CLEANUP_CHROOT_BASE (default /var/tmp). All mounts are in a mount namespace of their own and end with it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

suite=bookworm once=
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pg_cleanup
inside=
while [ $# -gt 0 ]; do
  case $1 in
  --suite) suite=$2; shift 2 ;;
  --once) once=--once; shift ;;
  --cache) cache=$2; shift 2 ;;
  --in-namespace) inside=$2; shift 2 ;;
  *) die "usage: run.sh [--suite SUITE] [--once]" ;;
  esac
done

skip() { say "$*"; exit 77; }

# The mirror that apt of this machine takes Debian from, so that no name of a host is written down here.
debian_mirror() {
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

# How apt gets through here (proxies and the like), for apt in the chroot.
apt_settings() { apt-config dump | grep -iE '^Acquire::(https?|Retries|ForceIPv4)[: ]' || true; }

make_tarball() {
  local mirror tree
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || skip "apt of this machine has no Debian mirror"
  tree=$(mktemp -d "$base/pgcc.XXXXXX")
  say "debootstrap $suite"
  if ! debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$tree" "$mirror" \
    >"$cache/debootstrap-$suite.log" 2>&1; then
    rm -rf --one-file-system "$tree"
    tail -n 5 "$cache/debootstrap-$suite.log" >&2
    skip "debootstrap cannot make $suite here"
  fi
  # Security updates of stable releases, from the place where this machine has them.
  local security
  security=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$2 == "Debian-Security" { print $3; exit }')
  if [ "$suite" != sid ] && [ -n "$security" ]; then
    echo "deb $security $suite-security main" >"$tree/etc/apt/sources.list.d/security.list"
  fi
  apt_settings >"$tree/etc/apt/apt.conf.d/01host"
  printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
  chmod 755 "$tree/usr/sbin/policy-rc.d"
  tar -C "$tree" -czf "$cache/$suite.tar.gz.new" .
  mv "$cache/$suite.tar.gz.new" "$cache/$suite.tar.gz"
  rm -rf --one-file-system "$tree"
}

in_chroot() {
  env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    ${TEST_JOBS:+TEST_JOBS="$TEST_JOBS"} chroot "$inside" "$@"
}

# Nothing of this may have changed the system beyond its packages.
check_untouched() {
  local found
  found=$(find "$inside/usr" "$inside/etc" -name 'pg_cleanup*' -not -path '*/share/doc/*')
  [ -z "$found" ] || die "installed into the system: $found"
  found=$(find "$inside/var/lib/postgresql" "$inside/etc/postgresql" -mindepth 1 -maxdepth 3 -name main 2>/dev/null || true)
  [ -z "$found" ] || die "a system cluster was made: $found"
  found=$(find "$inside/tmp" -maxdepth 1 -name 'pgc*' -print)
  [ -z "$found" ] || die "left behind: $found"
  if pgrep -f "^[^ ]*/bin/postgres -D " --ns $$ --nslist pid >/dev/null; then die "a server was left running"; fi
}

round() {
  say "--- $suite: $*"
  in_chroot "$@" || die "$suite: failed: $*"
  check_untouched
}

# --- second half: alone in namespaces ----------------------------------------------------------------------------------
if [ -n "$inside" ]; then
  mount -t proc proc "$inside/proc"
  mount --rbind /dev "$inside/dev"
  mount -t tmpfs -o mode=1777 tmpfs "$inside/dev/shm"
  mkdir -p "$cache/archives-$suite" "$inside/var/cache/apt/archives"
  mount --bind "$cache/archives-$suite" "$inside/var/cache/apt/archives"
  cp -L /etc/resolv.conf /etc/hosts "$inside/etc/"
  in_chroot rm -f /etc/apt/apt.conf.d/docker-clean
  # A mirror may be a snapshot, whose lists have run out (unstable's do within a week); signatures are still checked.
  printf '%s\n' 'APT::Keep-Downloaded-Packages "true";' 'Acquire::Check-Valid-Until "false";' \
    >"$inside/etc/apt/apt.conf.d/02cache"

  git -c advice.detachedHead=false clone -q --no-hardlinks "$REPO" "$inside/root/pg_cleanup"
  # A plain make, before anything is there, names the missing package.
  if said=$(in_chroot make -C /root/pg_cleanup 2>&1); then die "make worked without PostgreSQL's headers"; fi
  [[ $said == *"package postgresql-server-dev-"* ]] || die "make does not say what is missing: $said"

  if [ -n "$once" ]; then
    round make -C /root/pg_cleanup --no-print-directory test
  else
    for _ in 1 2; do
      round make -C /root/pg_cleanup --no-print-directory demo
      round make -C /root/pg_cleanup --no-print-directory test
    done
    # Something must be missing for sudo to be tried.
    in_chroot apt-get -qq -y purge python3-pytest-timeout >/dev/null 2>&1
    in_chroot apt-get -qq -y --no-install-recommends install sudo >/dev/null 2>&1
    in_chroot useradd -m -s /bin/bash tester
    echo 'tester ALL=(ALL) NOPASSWD: ALL' >"$inside/etc/sudoers.d/tester"
    git -c advice.detachedHead=false clone -q --no-hardlinks "$REPO" "$inside/home/tester/pg_cleanup"
    in_chroot chown -R tester: /home/tester/pg_cleanup
    round setpriv --reuid=tester --regid=tester --init-groups env HOME=/home/tester \
      make -C /home/tester/pg_cleanup --no-print-directory test
  fi
  # For make matrix
  in_chroot sh -c 'for p in /usr/lib/postgresql/*/bin/postgres; do "$p" --version; done' | sed 's/^postgres (PostgreSQL)/server PostgreSQL/'
  exit 0
fi

# --- first half --------------------------------------------------------------------------------------------------------
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || skip "chroot needs root, and sudo is not there"
  exec sudo "$0" --suite "$suite" $once --cache "$cache"
fi
command -v apt-get >/dev/null || skip "no apt-get here: chroots are made from the mirror that apt uses"
"$REPO/test/tools/ensure_packages" chroot
base=${PG_CLEANUP_CHROOT_BASE:-/var/tmp}
mkdir -p "$cache" "$base"
exec 7>"$cache/.lock-$suite"
flock 7

tree=
# The namespace is gone by then, and its mounts with it; --one-file-system is for the day on which they are not.
trap '[ -z "$tree" ] || rm -rf --one-file-system "$tree"' EXIT
trap 'exit 130' INT TERM HUP
[ -e "$cache/$suite.tar.gz" ] || make_tarball
tree=$(mktemp -d "$base/pgcc.XXXXXX")
tar -C "$tree" -xzf "$cache/$suite.tar.gz"
chmod 755 "$tree" # its root: mktemp made it private
unshare --mount --pid --fork --kill-child --propagation private \
  "$0" --suite "$suite" $once --cache "$cache" --in-namespace "$tree" 7>&-
say "$suite: all passed"
