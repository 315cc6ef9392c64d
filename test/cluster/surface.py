"""What a user types, as Python calls: policies, previews, dry runs, runs, with results as named tuples."""

import threading

import psycopg2
import psycopg2.extras

TERMINAL = {"succeeded", "partial", "skipped", "failed", "cancelled", "interrupted"}


class Cleanup:
    """pg_cleanup in one database over one autocommit connection, which it opens anew after a crash."""

    def __init__(self, server, dbname, user="postgres"):
        self.server = server
        self.dbname = dbname
        self.user = user
        self._connection = None

    # -- plain SQL ----------------------------------------------------------------------------------------------------

    @property
    def connection(self):
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
        return self._connection

    def connect(self, autocommit=True, **more):
        return self.server.connect(self.dbname, self.user, autocommit=autocommit, **more)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self, query, params=None):
        with self.connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor) as cursor:
            cursor.execute(query, params)
            return cursor.fetchall() if cursor.description else None

    sql = rows

    def row(self, query, params=None):
        found = self.rows(query, params)
        assert len(found) == 1, f"{len(found)} rows instead of one: {query}"
        return found[0]

    def value(self, query, params=None):
        found = self.rows(query, params)
        return found[0][0] if found else None

    # -- pg_cleanup -----------------------------------------------------------------------------------------------------

    def add_policy(self, policy, target, age_column=None, retain=None, **named):
        named = {"age_column": age_column, "retain": retain, **named}
        return self._call("SELECT cleanup_add_policy", [policy, target], named)[0][0]

    def alter_policy(self, policy, **named):
        self._call("SELECT cleanup_alter_policy", [policy], named)

    def drop_policy(self, policy):
        self._call("SELECT cleanup_drop_policy", [policy], {})

    def preview(self, policy, rows=20):
        return self._call("SELECT * FROM cleanup_preview", [policy], {"rows": rows})

    def dry_runs(self, policy="*", **named):
        return self._call("SELECT * FROM cleanup_dry_run", [policy], named)

    def dry_run(self, policy, **named):
        (only,) = self.dry_runs(policy, **named)
        return only

    def runs(self, policy="*", **named):
        return self._call("SELECT * FROM cleanup_run", [policy], named)

    def run(self, policy, **named):
        (only,) = self.runs(policy, **named)
        return only

    def start(self, policy, **named):
        """Starts a run that this session does not wait for; its id."""
        return self.run(policy, wait=False, **named).run_id

    def _call(self, function, arguments, named):
        named = {name: value for name, value in named.items() if value is not None}
        parts = ["%s"] * len(arguments) + [f"{name} => %s" for name in named]
        return self.rows(f"{function}({', '.join(parts)})", [*arguments, *named.values()])

    # -- waiting for runs -------------------------------------------------------------------------------------------------

    def run_row(self, run_id):
        return self.row("SELECT * FROM cleanup_runs WHERE run_id = %s", [run_id])

    def targets(self, run_id):
        return self.rows("SELECT * FROM cleanup_run_targets WHERE run_id = %s ORDER BY policy, kind DESC, table_name", [run_id])

    def wait_until(self, query, params=None, timeout=60.0, what=None):
        """Waits until the query's value is true."""
        if params is not None:
            with self.connection.cursor() as cursor:
                query = cursor.mogrify(query, params).decode()
        try:
            self.server.poll_until(f"SELECT coalesce(({query}), false)", True, self.dbname, timeout)
        except AssertionError as error:
            raise AssertionError(f"{what or 'condition'} was not met: {error}") from None

    def wait_for_run(self, run_id, timeout=60.0):
        """Waits until the run is over; its row of cleanup_runs."""
        self.wait_until("SELECT status <> 'running' FROM cleanup_runs WHERE run_id = %s", [run_id], timeout, f"end of run {run_id}")
        return self.run_row(run_id)

    def wait_for_rows(self, run_id, rows, timeout=60.0):
        """Waits until the run has deleted so many rows, or is over."""
        self.wait_until(
            "SELECT coalesce(sum(t.rows), 0) >= %s OR bool_or(r.status <> 'running')"
            " FROM cleanup_runs r LEFT JOIN cleanup_run_targets t ON t.run_id = r.run_id AND t.kind = 'target'"
            " WHERE r.run_id = %s", [rows, run_id], timeout, f"{rows} rows by run {run_id}")

    def workers(self):
        """The pids and names of pg_cleanup's processes in this database."""
        return self.rows("SELECT pid, backend_type, application_name, query, usename FROM pg_stat_activity"
                         " WHERE datname = current_database() AND backend_type LIKE 'pg_cleanup%'")

    def wait_for_no_workers(self, timeout=30.0):
        self.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
                        " AND backend_type LIKE 'pg_cleanup%')", None, timeout, "the end of every worker")


class Background(threading.Thread):
    """Runs a function in a thread; result() waits for it and raises what it raised."""

    def __init__(self, function, *arguments, **named):
        super().__init__(daemon=True)
        self._work = (function, arguments, named)
        self._result = None
        self._error = None
        self.start()

    def run(self):
        function, arguments, named = self._work
        try:
            self._result = function(*arguments, **named)
        except BaseException as error:  # pylint: disable=broad-except
            self._error = error

    def result(self, timeout=120.0):
        self.join(timeout)
        assert not self.is_alive(), f"{self._work[0]} still runs after {timeout} s"
        if self._error is not None:
            raise self._error
        return self._result


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(value):
    return "'" + value.replace("'", "''") + "'"
