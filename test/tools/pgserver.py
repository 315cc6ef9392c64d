"""Private PostgreSQL servers for pytest: a thin cover over test/tools/server, which knows how they are made."""

import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager

import psycopg2
import psycopg2.extensions

TOOLS = pathlib.Path(__file__).resolve().parent
REPO = TOOLS.parent.parent
SOAK = os.environ.get("PG_CLEANUP_SOAK") == "1"


class Server:
    """One server. Made by Server() or as a standby of another; destroy() leaves nothing behind."""

    def __init__(self, settings=None, fsync=False):
        env = dict(os.environ, PG_CLEANUP_FSYNC="on" if fsync else "off")
        self._take_env(self._tool("start", *self._options(settings), env=env))

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self, **settings):
        self._take_env(self._tool("start", str(self.dir), *self._options(settings)))

    def stop(self):
        self._tool("stop", str(self.dir))

    def stop_immediate(self):
        """As a power cut would: the next start recovers."""
        self._tool("crash", str(self.dir))

    def restart(self, **settings):
        self._tool("restart", str(self.dir), *self._options(settings))

    def destroy(self):
        self._tool("destroy", str(self.dir))

    def promote(self):
        self.run(["pg_ctl", "promote", "-w", "-D", str(self.data)], as_server_user=True)

    def kill9(self, pid):
        """Kills one process of this server, and no other."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        parent = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))
        if pid != postmaster and parent != postmaster:
            raise ValueError(f"process {pid} is not of this server")
        os.kill(pid, signal.SIGKILL)

    def standby(self, settings=None):
        """A streaming standby of this server, running."""
        other = Server.__new__(Server)
        base = pathlib.Path(tempfile.mkdtemp(prefix="pgcl.", dir=os.environ.get("PG_CLEANUP_TMP", "/tmp")))
        other.dir = base
        base.chmod(0o755)
        (base / ".pg_cleanup_server").touch()
        if os.getuid() == 0:
            os.chown(base, self.data.stat().st_uid, self.data.stat().st_gid)
        self.run(["pg_basebackup", "-D", str(base / "data"), "-R", "-c", "fast", "-d", self.dsn("postgres")],
                 as_server_user=True)
        other.start(**(settings or {}))
        return other

    # -- talking to it ----------------------------------------------------------------------------------------------

    def dsn(self, dbname="postgres", user="postgres", **more):
        parts = {"host": self.host, "port": self.port, "user": user, "dbname": dbname, **more}
        return psycopg2.extensions.make_dsn(**parts)

    def connect(self, dbname="postgres", user="postgres", autocommit=True, **more):
        connection = psycopg2.connect(self.dsn(dbname, user, **more))
        connection.autocommit = autocommit
        return connection

    def sql(self, query, params=None, dbname="postgres", user="postgres"):
        """Runs one query on a connection of its own; its rows, or None when it yields none."""
        connection = self.connect(dbname, user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, params)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def value(self, query, params=None, dbname="postgres", user="postgres"):
        """The first column of the first row."""
        rows = self.sql(query, params, dbname, user)
        return rows[0][0] if rows else None

    def psql(self, script, dbname="postgres", user="postgres", check=True, options=()):
        """Runs a script (text, or a path) as psql does; the completed process, with stdout and stderr."""
        source = ["-f", str(script)] if isinstance(script, pathlib.Path) else ["-f", "-"]
        text = None if isinstance(script, pathlib.Path) else script
        return self.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *options, *source, self.dsn(dbname, user)],
                        input=text, check=check)

    def poll_until(self, query, expected=True, dbname="postgres", timeout=60.0, user="postgres"):
        """Waits until the query's value is the expected one; fails with the last value otherwise."""
        deadline = time.monotonic() + timeout
        connection = self.connect(dbname, user)
        try:
            with connection.cursor() as cursor:
                while True:
                    cursor.execute(query)
                    row = cursor.fetchone()
                    value = row[0] if row else None
                    if value == expected:
                        return value
                    if time.monotonic() > deadline:
                        raise AssertionError(f"after {timeout} s still {value!r} instead of {expected!r}: {query}")
                    time.sleep(0.02)
        finally:
            connection.close()

    def wait_for_log(self, text, timeout=60.0):
        """Waits until the server's log has this text."""
        deadline = time.monotonic() + timeout
        while text not in self.log():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {timeout} s not in the log: {text!r}; its end:\n{self.log()[-3000:]}")
            time.sleep(0.02)

    def wait_until_ready(self, timeout=60.0):
        """Waits until connections are accepted, e.g. after kill9 made the postmaster start everything anew."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.connect().close()
                return
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    @contextmanager
    def database(self, name, extension=True, schema=None):
        """A database of its own, dropped afterwards, with the extension in it (in its own schema if named)."""
        quoted = '"' + name.replace('"', '""') + '"'
        self.sql(f"CREATE DATABASE {quoted}")
        try:
            if schema:
                self.sql(f"CREATE SCHEMA {schema}", dbname=name)
            if extension:
                self.sql("CREATE EXTENSION pg_cleanup" + (f" SCHEMA {schema}" if schema else ""), dbname=name)
            yield name
        finally:
            self.sql(f"DROP DATABASE {quoted} WITH (FORCE)")

    def log(self):
        return (self.dir / "server.log").read_text(errors="replace")

    # -- how --------------------------------------------------------------------------------------------------------

    def run(self, command, as_server_user=False, **options):
        """Runs one of the server's programs."""
        env = dict(os.environ, PATH=self.path)
        if as_server_user:
            command = ["bash", "-c", f'. {shlex.quote(str(TOOLS / "lib.sh"))}; as_server_user "$@"', "bash", *command]
        options = {"check": True, "text": True, "capture_output": True, "env": env, **options}
        try:
            return subprocess.run(command, **options)
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"{command[0]} failed ({error.returncode}):\n{error.stdout}\n{error.stderr}") from None

    @staticmethod
    def _options(settings):
        return [word for name, value in (settings or {}).items() for word in ("-o", f"{name}={value}")]

    @staticmethod
    def _tool(*words, env=None):
        done = subprocess.run([str(TOOLS / "server"), *words], env=env, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"server {' '.join(words)} failed:\n{done.stderr}")
        return done.stdout

    def _take_env(self, text):
        env = dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
        self.host, self.port = env["PGHOST"], int(env["PGPORT"])
        self.path = env["PATH"]
        self.dir = pathlib.Path(env["PG_CLEANUP_SERVER"])
        self.data = self.dir / "data"
