# shellcheck shell=bash
# What the scripts here share: where things are, which PostgreSQL is meant, and who may run a server.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
umask 022

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# The pg_config to build with: what PG_CONFIG names, else the one in the PATH, else the newest of Debian's.
find_pg_config() {
    if [ -n "${PG_CONFIG:-}" ] && [ "$PG_CONFIG" != pg_config ]; then
        command -v "$PG_CONFIG" || return 1
        return 0
    fi
    local found
    if found=$(command -v pg_config) && [ -e "$("$found" --pgxs 2>/dev/null)" ]; then
        printf '%s\n' "$found"
        return 0
    fi
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -V | tail -n 1)
    [ -x "$found" ] && printf '%s\n' "$found"
}

# The server's major version.
pg_major() { "$(find_pg_config)" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; }

# A role of the operating system that may run a server: oneself, unless one is root.
server_user() {
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif [ -n "${PG_CLEANUP_SERVER_USER:-}" ]; then
        printf '%s\n' "$PG_CLEANUP_SERVER_USER"
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

# Runs a command as that role, without PAM, a shell or PG* settings of the caller in between.
as_server_user() {
    local unset=() name
    for name in $(compgen -e | grep '^PG' || true); do unset+=(-u "$name"); done
    if [ "$(id -u)" != 0 ]; then
        env "${unset[@]}" "$@"
        return
    fi
    local user
    user=$(server_user)
    (cd / && env "${unset[@]}" HOME=/ setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@")
}

# Where the private copy of PostgreSQL for this checkout is: in build/, unless the server's role cannot reach that.
install_dir() {
    if [ -n "${PG_CLEANUP_INSTALL:-}" ]; then
        printf '%s\n' "$PG_CLEANUP_INSTALL"
        return
    fi
    mkdir -p "$REPO/build"
    if as_server_user test -x "$REPO/build"; then
        printf '%s\n' "$REPO/build/install"
    else
        printf '%s\n' "${TMPDIR:-/tmp}/pg_cleanup-install-$(id -u)-$(printf '%s' "$REPO" | cksum | cut -d' ' -f1)"
    fi
}

# The directory of the private copy's programs.
private_bindir() {
    printf '%s%s\n' "$(install_dir)" "$("$(find_pg_config)" --bindir)"
}

# A Python that has the test packages: Debian's, or one first in the PATH (a virtual environment).
find_python() {
    local python
    for python in "$(command -v python3)" /usr/bin/python3; do
        if "$python" -c 'import psycopg2, pytest, pytest_timeout, xdist' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    die "no python3 with psycopg2, pytest, pytest-timeout and pytest-xdist"
}
