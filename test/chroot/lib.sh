# shellcheck shell=bash
# Debian chroots: how they are made, entered and kept. Needs root and the mirror that this machine's apt uses.
#
# Kept in the cache directory, for each suite: the bare chroot (SUITE.tar.gz), the packages that were downloaded
# (archives-SUITE), and for test/chroot/in the chroot itself (chroot-SUITE).
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

cache=${PG_CLEANUP_CHROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pg_cleanup}

# What cannot be made is skipped: exit status 77, and the last line of the output says why.
skip() { say "skipped: $*"; exit 77; }

# The mirror that apt of this machine takes Debian from, so that no name of a host is written down here.
debian_mirror() {
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

# Security updates of stable releases, from the place where this machine has them.
security_mirror() {
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$2 == "Debian-Security" { print $3; exit }'
}

# How apt gets through here (proxies and the like), for apt in the chroot.
apt_settings() { apt-config dump | grep -iE '^Acquire::(https?|Retries|ForceIPv4)[: ]' || true; }

require_chroots() {
    [ "$(id -u)" = 0 ] || skip "chroots need root"
    command -v apt-get >/dev/null || skip "no apt-get here: chroots are made from the mirror that apt uses"
    "$REPO/test/tools/ensure_packages" chroot || skip "debootstrap cannot be installed"
    unshare --mount --pid --fork true 2>/dev/null || skip "namespaces cannot be made here"
    mkdir -p "$cache"
}

# make_tarball SUITE: the bare chroot, with git and make.
make_tarball() {
    local suite=$1 mirror security tree
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || skip "apt of this machine has no Debian mirror"
    tree=$(mktemp -d "$cache/bare.XXXXXX")
    say "debootstrap $suite"
    if ! debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$tree" "$mirror" \
        >"$cache/debootstrap-$suite.log" 2>&1; then
        rm -rf --one-file-system "$tree"
        tail -n 5 "$cache/debootstrap-$suite.log" >&2
        skip "debootstrap cannot make $suite here"
    fi
    security=$(security_mirror)
    if [ "$suite" != sid ] && [ -n "$security" ]; then
        echo "deb $security $suite-security main" >"$tree/etc/apt/sources.list.d/security.list"
    fi
    apt_settings >"$tree/etc/apt/apt.conf.d/01host"
    # A mirror may be a snapshot, whose lists have run out (unstable's do within a week); signatures are still checked.
    printf '%s\n' 'APT::Keep-Downloaded-Packages "true";' 'Acquire::Check-Valid-Until "false";' \
        >"$tree/etc/apt/apt.conf.d/02cache"
    rm -f "$tree/etc/apt/apt.conf.d/docker-clean"
    printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
    chmod 755 "$tree/usr/sbin/policy-rc.d"
    tar -C "$tree" -czf "$cache/$suite.tar.gz.new" .
    mv "$cache/$suite.tar.gz.new" "$cache/$suite.tar.gz"
    rm -rf --one-file-system "$tree"
}

# unpack SUITE TREE: the bare chroot in an existing directory.
unpack() {
    [ -e "$cache/$1.tar.gz" ] || make_tarball "$1"
    tar -C "$2" -xzf "$cache/$1.tar.gz"
    chmod 755 "$2" # its root: mktemp made it private
}

# One at a time works on the chroots of a suite. The lock, descriptor 7, goes over to unshare, and so is held for as long
# as the namespace lives; what runs inside leaves it (drop_lock).
lock_suite() {
    exec 7>"$cache/.lock-$1"
    flock 7
}

# apart COMMAND...: in a mount and a process namespace of its own; mounts and processes end with it.
apart() { unshare --mount --pid --fork --kill-child --propagation private "$@"; }
drop_lock() { exec 7>&-; }

# mount_chroot SUITE TREE: in a namespace made by apart.
mount_chroot() {
    local suite=$1 tree=$2
    drop_lock
    mount -t proc proc "$tree/proc"
    mount --rbind /dev "$tree/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
    mkdir -p "$cache/archives-$suite" "$tree/var/cache/apt/archives"
    mount --bind "$cache/archives-$suite" "$tree/var/cache/apt/archives"
    cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
}

# in_chroot TREE COMMAND...: as root, with a bare environment and the settings of the tests.
in_chroot() {
    local tree=$1 settings=() name
    shift
    for name in TEST_JOBS PG_CLEANUP_SOAK PG_CLEANUP_SEED PG_CLEANUP_DUMPS; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        TERM="${TERM:-dumb}" "${settings[@]}" chroot "$tree" "$@"
}

# check_untouched TREE: the tests changed nothing of the system beyond its packages.
check_untouched() {
    local tree=$1 found
    found=$(find "$tree/usr" "$tree/etc" -name 'pg_cleanup*' -not -path '*/share/doc/*')
    [ -z "$found" ] || die "installed into the system: $found"
    found=$(find "$tree/var/lib/postgresql" "$tree/etc/postgresql" -mindepth 1 -maxdepth 3 -name main 2>/dev/null || true)
    [ -z "$found" ] || die "a system cluster was made: $found"
    found=$(find "$tree/tmp" -maxdepth 1 -name 'pgc*' -print)
    [ -z "$found" ] || die "left behind: $found"
    if pgrep -f "^[^ ]*/bin/postgres -D " --ns $$ --nslist pid >/dev/null; then die "a server was left running"; fi
}
