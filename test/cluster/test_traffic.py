"""While a run deletes very many rows, the application goes on: no error, no deadlock, no long wait in any of its sessions."""

import random
import threading
import time

import psycopg2.errors
import pytest

from pgserver import SOAK
from surface import Cleanup

ROWS = 1_000_000 if SOAK else 100_000
SESSIONS = 8
DUE = 0.8


class Session(threading.Thread):
    """One session of the application. It works on rows of its own, so that only the run can make it wait; several rows a
    transaction, upwards, downwards or at random, so that a run that locks in block order would meet it head-on."""

    def __init__(self, server, dbname, number, seed):
        super().__init__(daemon=True, name=f"session {number}")
        self.connection = server.connect(dbname, autocommit=False, application_name=f"app {number}")
        self.number, self.random = number, random.Random(f"{seed}/{number}")
        self.errors, self.transactions, self.kept = [], 0, set()
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set() and len(self.errors) < 5:
            try:
                with self.connection.cursor() as cursor:
                    kept = self._transaction(cursor)
                self.connection.commit()
                self.kept |= kept
                self.transactions += 1
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)
                self.connection.rollback()
        self.connection.close()

    def _transaction(self, cursor):
        rows = [self.random.randrange(ROWS // SESSIONS) * SESSIONS + self.number for _ in range(self.random.choice([1, 2, 5, 12]))]
        order = self.random.choice(["up", "down", "any"])
        if order != "any":
            rows.sort(reverse=order == "down")
        kept = set()
        for row in rows:
            what = self.random.choices(["touch", "renew", "lock", "share", "key", "insert", "child", "delete"], [4, 3, 2, 1, 1, 2, 1, 1])[0]
            if what == "touch":
                cursor.execute("UPDATE busy SET counter = counter + 1 WHERE id = %s", [row])
            elif what == "renew":
                cursor.execute("UPDATE busy SET at = now() WHERE id = %s RETURNING id", [row])
                kept |= {found[0] for found in cursor.fetchall()}
            elif what == "lock":
                cursor.execute("SELECT FROM busy WHERE id = %s FOR UPDATE", [row])
            elif what == "share":
                cursor.execute("SELECT FROM busy WHERE id = %s FOR SHARE", [row])
            elif what == "key":
                cursor.execute("SELECT FROM busy WHERE id = %s FOR KEY SHARE", [row])
            elif what == "insert":
                cursor.execute("INSERT INTO busy (id, at) VALUES (nextval('busy_id'), now()) RETURNING id")
                kept.add(cursor.fetchone()[0])
            elif what == "child":  # takes a key lock on a row that stays
                cursor.execute("INSERT INTO child (busy) VALUES (%s)", [ROWS + self.number])
            elif what == "delete":
                cursor.execute("DELETE FROM busy WHERE id = %s AND id %% 5 = 0 RETURNING id", [row])
                kept -= {found[0] for found in cursor.fetchall()}
                self.kept.discard(row)
        return kept


class LockWaits(threading.Thread):
    """Watches the sessions' waits for locks: how many there were, and how long the longest was seen to last."""

    def __init__(self, server, dbname):
        super().__init__(daemon=True)
        self.connection = server.connect(dbname)
        self.seen, self.longest = set(), 0.0
        self.stopping = threading.Event()

    def run(self):
        with self.connection.cursor() as cursor:
            while not self.stopping.wait(0.01):
                cursor.execute("SELECT l.pid, l.waitstart, extract(epoch FROM clock_timestamp() - l.waitstart)::float8"
                               " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                               " WHERE NOT l.granted AND a.application_name LIKE 'app %' AND l.waitstart IS NOT NULL")
                for pid, since, seconds in cursor.fetchall():
                    self.seen.add((pid, since))
                    self.longest = max(self.longest, seconds)
        self.connection.close()


@pytest.mark.parametrize("index", [True, False], ids=["index", "no_index"])
def test_application_goes_on(new_server, seed, index):
    server = new_server({"shared_buffers": "256MB", "log_lock_waits": "on", "max_wal_size": "4GB"})
    server.sql("CREATE EXTENSION pg_cleanup")
    cleanup = Cleanup(server, "postgres")
    cleanup.sql("CREATE TABLE busy (id bigint PRIMARY KEY, at timestamptz NOT NULL, counter int NOT NULL DEFAULT 0, filler text)")
    cleanup.sql(f"INSERT INTO busy SELECT n, now() - CASE WHEN hashint8(n) & 1023 < {int(DUE * 1024)} THEN interval '40 days'"
                f" ELSE interval '4 days' END, 0, repeat('x', 100) FROM generate_series(0, {ROWS - 1}) n")
    cleanup.sql(f"INSERT INTO busy SELECT n, 'infinity', 0, '' FROM generate_series({ROWS}, {ROWS + SESSIONS - 1}) n")
    if index:
        cleanup.sql("CREATE INDEX ON busy (at)")
    cleanup.sql("CREATE TABLE child (busy bigint NOT NULL REFERENCES busy)")
    cleanup.sql("CREATE INDEX ON child (busy)")
    cleanup.sql(f"CREATE SEQUENCE busy_id START {2 * ROWS}")
    cleanup.sql("VACUUM ANALYZE busy")
    cleanup.add_policy("busy", "busy", "at", "30 days")
    must_stay = cleanup.value("SELECT count(*) FROM busy WHERE at >= now() - interval '30 days'")

    sessions = [Session(server, "postgres", number, seed) for number in range(SESSIONS)]
    waits = LockWaits(server, "postgres")
    waits.start()
    for session in sessions:
        session.start()
    cleanup.wait_until("SELECT count(*) > 0 FROM child")
    began = time.monotonic()
    before = sum(session.transactions for session in sessions)
    done = cleanup.run("busy")
    seconds, during = time.monotonic() - began, sum(session.transactions for session in sessions) - before
    for session in sessions:
        session.stopping.set()
    for session in sessions:
        session.join(60)
        assert not session.is_alive(), f"{session.name} hangs"
    waits.stopping.set()
    waits.join(10)

    print(f"{done.rows} rows in {seconds:.1f} s, {done.batches} batches, {done.skipped_rows} skipped; {during} transactions meanwhile,"
          f" {len(waits.seen)} waits seen, the longest {waits.longest:.3f} s")
    assert [error for session in sessions for error in session.errors] == []
    assert done.status in ("succeeded", "partial"), done
    assert cleanup.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert "deadlock detected" not in server.log()
    assert during > 0
    # What was renewed or inserted is there; so is what was young from the start and was not deleted by the application.
    kept = sorted(set().union(*(session.kept for session in sessions)))
    assert cleanup.value("SELECT count(*) FROM busy WHERE id = ANY(%s::bigint[])", [kept]) == len(kept)
    assert must_stay > ROWS * (1 - DUE) * 0.9
    gone_young = cleanup.value(
        f"SELECT count(*) FROM generate_series(0, {ROWS - 1}) n WHERE hashint8(n) & 1023 >= {int(DUE * 1024)} AND n % 5 <> 0"
        " AND NOT EXISTS (SELECT FROM busy WHERE id = n)")
    assert gone_young == 0
    left = cleanup.value("SELECT count(*) FROM busy WHERE at < now() - interval '30 days'")
    assert left <= done.skipped_rows + changed_rows(cleanup), f"{left} left, {done}"

    batch = cleanup.value("SELECT extract(epoch FROM current_setting('pg_cleanup.batch_target_ms')::interval)::float8")
    lock_timeout = cleanup.value("SELECT extract(epoch FROM current_setting('pg_cleanup.lock_timeout')::interval)::float8")
    if SOAK:
        # Twice a batch: the sizer may overshoot its target while it learns.
        assert waits.longest <= lock_timeout + 2 * batch + 0.5, f"somebody waited {waits.longest:.3f} s"
    again = cleanup.run("busy")
    assert (again.status, again.skipped_rows) == ("succeeded", 0), again
    assert cleanup.value("SELECT count(*) FROM busy WHERE at < now() - interval '30 days'") == 0


def changed_rows(cleanup):
    """Rows that the application changed: they moved, and wait for the next run."""
    return cleanup.value("SELECT count(*) FROM busy WHERE counter > 0 AND at < now() - interval '30 days'")


def test_lock_timeout_is_below_the_deadlock_timeout(shared_server, db):
    """So that it is never the application that a deadlock is resolved against."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql("LOAD 'pg_cleanup'")
    assert cleanup.value("SELECT extract(epoch FROM current_setting('pg_cleanup.lock_timeout')::interval) * 2"
                         " <= extract(epoch FROM current_setting('deadlock_timeout')::interval)")
    cleanup.close()


def test_head_on(shared_server, db):
    """An application that holds a row the run wants, and then wants one that the run holds: the run gives way."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql("CREATE TABLE pair (id int PRIMARY KEY, at timestamptz)")
    cleanup.sql("INSERT INTO pair SELECT n, now() - interval '60 days' FROM generate_series(1, 1000) n")
    cleanup.add_policy("pair", "pair", "at", "30 days", batch_size=1000)
    application = cleanup.connect(autocommit=False)
    with application.cursor() as cursor:
        cursor.execute("SELECT FROM pair WHERE id = 1000 FOR UPDATE")
        run_id = cleanup.start("pair")
        cleanup.wait_until("SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                           " WHERE NOT l.granted AND a.backend_type = 'pg_cleanup worker') OR"
                           " (SELECT status <> 'running' FROM cleanup_runs WHERE run_id = %s)", [run_id])
        try:
            cursor.execute("SELECT FROM pair WHERE id = 1 FOR UPDATE")
        except psycopg2.errors.DeadlockDetected:
            pytest.fail("the application lost to the run")
    row = cleanup.wait_for_run(run_id)
    assert row.status == "partial", row
    assert cleanup.targets(run_id)[0].skipped_rows in (1, 2)
    application.rollback()
    application.close()
    done = cleanup.run("pair")
    assert done.status == "succeeded"
    assert cleanup.value("SELECT count(*) FROM pair") == 0
    cleanup.close()
