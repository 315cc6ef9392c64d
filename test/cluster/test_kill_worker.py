"""Killed, stopped and terminated in the middle: what is counted is what is missing, and the next run goes on from there."""

import pathlib
import random
import time

import psycopg2
import pytest

from pgserver import SOAK
from slow_run import SlowRun
from surface import Background

KILLS = 50 if SOAK else 5


def wait_for_crash(connection, timeout=30.0):
    """Waits until the postmaster has noticed and thrown everybody out, us included."""
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.005)")
    except psycopg2.Error:
        # The farewell can arrive before the socket is closed, and then psycopg2 takes the connection for alive.
        connection.close()
        return
    raise AssertionError("the server did not restart")


def worker_pid(slow, kind):
    """kind: 'pg_cleanup worker' (as the owner) or 'pg_cleanup run' (the coordinator)."""
    found = [row.pid for row in slow.cleanup.workers() if row.backend_type == kind]
    return found[0] if found else None


def check_interrupted(slow, run_id):
    """After a restart: the counters are right, and the run is known to be dead although nobody could say so then."""
    slow.check_counters(run_id)
    assert slow.cleanup.workers() == []
    shown = slow.cleanup.rows("SELECT status FROM cleanup_progress WHERE run_id = %s", [run_id])
    assert all(row.status == "interrupted" for row in shown), shown
    slow.check_next_run_finishes()
    row = slow.cleanup.run_row(run_id)
    assert row.status == "interrupted" and row.finished_at is not None, row
    assert {target.status for target in slow.cleanup.targets(run_id)} <= {"interrupted", "succeeded"}


def test_kill9_at_any_moment(own_server, seed):
    """kill -9 of either worker, at a random moment, again and again."""
    chance = random.Random(seed)
    slow = SlowRun(own_server, due=1500, young=200)
    killed = 0
    while killed < KILLS:
        slow.fill()
        batch_size = chance.choice([1, 5, 20, 100, 700])
        slow.cleanup.alter_policy("slow", batch_size=batch_size)
        slow.set_pace(chance.choice([0.0005, 0.001]))
        kind = chance.choice(["pg_cleanup worker", "pg_cleanup worker", "pg_cleanup run"])
        run_id = slow.cleanup.start("slow")
        if chance.random() < 0.9:
            slow.cleanup.wait_for_rows(run_id, chance.randrange(0, 1200))
        for _ in range(chance.randrange(0, 30)):  # somewhere in a batch
            pid = worker_pid(slow, kind)
        pid = worker_pid(slow, kind)
        if pid is None:
            slow.cleanup.wait_for_run(run_id)
            continue
        connection = slow.cleanup.connection
        try:
            own_server.kill9(pid)
        except (FileNotFoundError, ProcessLookupError):
            slow.cleanup.wait_for_run(run_id)
            continue
        killed += 1
        wait_for_crash(connection)
        own_server.wait_until_ready()
        check_interrupted(slow, run_id)
    slow.check_log()


def is_running(pid):
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def start_again(server, timeout=60.0):
    """pg_ctl can take the dead postmaster's files for those of a server that has started."""
    deadline = time.monotonic() + timeout
    while True:
        server.start()
        try:
            server.connect().close()
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, "the server does not start again"


def test_kill9_of_the_postmaster(own_server):
    """Both workers end by themselves, and the server starts again and knows what was done."""
    slow = SlowRun(own_server, due=20000, batch_size=1)
    slow.set_pace(0)
    run_id = slow.cleanup.start("slow")
    slow.cleanup.wait_for_rows(run_id, 100)
    pids = [row.pid for row in slow.cleanup.workers()]
    assert len(pids) == 2, "too fast for the test"
    own_server.kill9(int((own_server.data / "postmaster.pid").read_text().split()[0]))
    slow.cleanup.close()
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives the postmaster"
    start_again(own_server)
    assert slow.left() > slow.young, "the worker went on to the end"
    check_interrupted(slow, run_id)
    slow.check_log()


def test_immediate_shutdown(own_server):
    slow = SlowRun(own_server)
    run_id = slow.start()
    own_server.stop_immediate()
    own_server.start()
    slow.cleanup.close()
    check_interrupted(slow, run_id)
    slow.check_log()


def test_fast_shutdown(own_server):
    """Workers do not delay a shutdown, and tell the truth."""
    slow = SlowRun(own_server)
    run_id = slow.start()
    slow.cleanup.close()
    own_server.stop()
    own_server.start()
    assert slow.cleanup.run_row(run_id).status in ("running", "interrupted", "cancelled", "failed")
    slow.check_counters(run_id)
    slow.check_next_run_finishes()
    assert slow.cleanup.run_row(run_id).status in ("interrupted", "cancelled", "failed")
    slow.check_log()


@pytest.mark.parametrize("waiting", [False, True], ids=["nobody_waits", "caller_waits"])
@pytest.mark.parametrize("kind", ["pg_cleanup worker", "pg_cleanup run"], ids=["worker", "coordinator"])
def test_terminate_worker(shared_server, db, kind, waiting):
    """pg_terminate_backend of either: the other one does not live on, and the status is true."""
    slow = SlowRun(shared_server, db)
    if waiting:
        other = slow.cleanup.connect()
        caller = Background(run_and_fetch, other)
        slow.cleanup.wait_until("SELECT coalesce(max(rows), 0) > 100 FROM cleanup_run_targets")
        run_id = slow.cleanup.value("SELECT max(run_id) FROM cleanup_runs")
    else:
        run_id = slow.start()
    assert slow.cleanup.value("SELECT pg_terminate_backend(%s)", [worker_pid(slow, kind)])
    slow.cleanup.wait_for_no_workers()
    if waiting:
        outcome = caller.result()
        assert isinstance(outcome, psycopg2.Error) or outcome[0][4] in ("interrupted", "failed", "cancelled"), outcome
        other.close()
    slow.check_counters(run_id)
    assert slow.left() > slow.young, "too fast for the test"
    slow.check_next_run_finishes()
    row = slow.cleanup.run_row(run_id)
    assert row.status in ("interrupted", "failed", "cancelled"), row
    assert {target.status for target in slow.cleanup.targets(run_id)} <= {"interrupted", "failed", "cancelled"}


def run_and_fetch(connection):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM cleanup_run('slow')")
            return cursor.fetchall()
    except psycopg2.Error as error:
        return error


def test_caller_disconnects(shared_server, db):
    """The caller's process goes away: the run ends, and says so."""
    slow = SlowRun(shared_server, db)
    other = slow.cleanup.connect()
    caller = Background(run_and_fetch, other)
    slow.cleanup.wait_until("SELECT coalesce(max(rows), 0) > 100 FROM cleanup_run_targets")
    run_id = slow.cleanup.value("SELECT max(run_id) FROM cleanup_runs")
    slow.cleanup.value("SELECT pg_terminate_backend(%s)", [other.info.backend_pid])
    assert isinstance(caller.result(), psycopg2.Error)
    slow.check_ended(run_id, ("cancelled", "interrupted", "failed"))
    slow.check_next_run_finishes()
