"""What cleanup_stats, cleanup_progress and cleanup_check say while runs work, tables are locked, and on a standby."""

import time

import pytest

from slow_run import SlowRun
from surface import Cleanup


@pytest.fixture
def slow(shared_server, db):
    made = SlowRun(shared_server, db)
    yield made
    made.cleanup.close()


def stats(cleanup, policy="slow"):
    return cleanup.row("SELECT * FROM cleanup_stats(%s)", [policy])


def findings(cleanup, check_name):
    return [row for row in cleanup.rows("SELECT * FROM cleanup_check()") if row.check_name == check_name]


def test_while_a_run_works(slow):
    run_id = slow.start()
    progress = slow.cleanup.row("SELECT *, cleanup_run_is_alive(run_id) AS alive FROM cleanup_progress")
    assert (progress.run_id, progress.policy, progress.target) == (run_id, "slow", "public.slow")
    assert (progress.status, progress.alive) == ("running", True)
    assert 0 <= progress.percent < 100 and (progress.eta is not None) == (progress.done_units > 0)
    assert progress.rows >= 100 and progress.rows_per_second > 0
    now = stats(slow.cleanup)
    assert (now.state, now.last_status, now.runs) == ("running", "running", 1)
    assert now.rows >= progress.rows
    assert [row.status for row in findings(slow.cleanup, "dead_runs")] == ["ok"]
    slow.set_pace(0)
    slow.cleanup.wait_for_run(run_id)
    assert slow.cleanup.rows("SELECT * FROM cleanup_progress") == []
    slow.cleanup.wait_for_no_workers()
    # Session-level locks that a process leaves behind would stay for ever.
    slow.cleanup.wait_until("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'object' AND classid = 'cleanup_policies'::regclass)")
    after = stats(slow.cleanup)
    assert (after.state, after.last_status, after.rows) == ("ready", "succeeded", slow.due)


def test_pause_ends_a_run_and_resume_lets_the_next_one_go(slow):
    run_id = slow.start()
    slow.cleanup.sql("SELECT cleanup_pause('the disk is failing')")
    row = slow.check_ended(run_id, ("cancelled",))
    assert "the disk is failing" in slow.cleanup.value("SELECT message FROM cleanup_run_targets WHERE run_id = %s", [run_id])
    left = slow.left()
    assert slow.cleanup.run("slow").rows == 0
    assert slow.left() == left, row
    assert stats(slow.cleanup).state == "paused"
    slow.cleanup.sql("SELECT cleanup_resume('it was the cable')")
    slow.check_next_run_finishes()


def test_a_pause_that_is_not_committed_stops_nothing(slow):
    run_id = slow.start()
    other = slow.cleanup.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SELECT cleanup_pause('not yet')")
        slow.set_pace(0)
        assert slow.cleanup.wait_for_run(run_id).status == "succeeded"
    other.rollback()
    other.close()


def test_dead_run(slow):
    """The coordinator ends without a word: shown as interrupted at once, and marked so by the next run."""
    run_id = slow.start()
    # A row of a run that nobody works on, as a crash between two of its transactions would leave it.
    slow.cleanup.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_cleanup%'")
    slow.cleanup.wait_for_no_workers()
    slow.cleanup.sql("UPDATE cleanup_runs SET status = 'running', finished_at = NULL WHERE run_id = %s", [run_id])
    slow.cleanup.sql("UPDATE cleanup_run_targets SET status = 'running', finished_at = NULL WHERE run_id = %s", [run_id])
    counted = slow.counted(run_id)
    assert stats(slow.cleanup).last_status == "interrupted"
    assert slow.cleanup.row("SELECT status FROM cleanup_progress").status == "interrupted"
    assert [row.status for row in findings(slow.cleanup, "dead_runs")] == ["warning"]
    slow.set_pace(0)
    assert slow.cleanup.run("slow").status == "succeeded"
    row = slow.cleanup.run_row(run_id)
    assert (row.status, row.finished_at is not None) == ("interrupted", True)
    assert slow.counted(run_id) == counted
    assert [row.status for row in findings(slow.cleanup, "dead_runs")] == ["ok"]
    assert stats(slow.cleanup).rows == slow.due


def test_a_locked_table_is_not_waited_for(slow):
    slow.cleanup.sql("CREATE INDEX ON slow (a)")
    slow.cleanup.sql("CREATE TABLE fine (a timestamptz)")
    slow.cleanup.add_policy("fine", "fine", "a", "1 day")
    other = slow.cleanup.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE slow")
        begin = time.monotonic()
        locked = stats(slow.cleanup)
        checks = slow.cleanup.rows("SELECT * FROM cleanup_check()")
        assert time.monotonic() - begin < 10
    assert (locked.state, locked.table_rows, locked.table_bytes, locked.oldest_row) == ("ready", None, None, None)
    assert stats(slow.cleanup, "fine").table_bytes is not None
    assert checks
    other.rollback()
    other.close()
    assert stats(slow.cleanup).oldest_row is not None


def test_index_full_of_dead_entries(shared_server, db):
    """An old snapshot keeps every deleted row in the index: unknown then, but never slow."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql("CREATE TABLE big (id int, at timestamptz)")
    cleanup.sql("INSERT INTO big SELECT n, now() - n * interval '1 minute' FROM generate_series(1, 60000) n")
    cleanup.sql("CREATE INDEX ON big (at)")
    cleanup.sql("ALTER TABLE big SET (autovacuum_enabled = off)")
    cleanup.add_policy("big", "big", "at", "1 hour")
    old = cleanup.connect(autocommit=False)
    with old.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM big")
        cleanup.sql("DELETE FROM big WHERE id > 30000")
        unknown = stats(cleanup, "big")
        assert (unknown.oldest_row, unknown.as_of) == (None, None)
    old.rollback()
    old.close()
    cleanup.sql("VACUUM big")
    known = stats(cleanup, "big")
    assert known.as_of is not None
    assert cleanup.value("SELECT %s = (SELECT min(at) FROM big)", [known.oldest_row])
    cleanup.close()


def test_no_worker_slot_left(new_server):
    server = new_server({"max_worker_processes": "1"})
    server.sql("CREATE EXTENSION pg_cleanup")
    (finding,) = findings(Cleanup(server, "postgres"), "worker_slots")
    assert finding.status == "error"
    assert "max_worker_processes" in finding.hint


def test_on_a_standby(own_server, new_server):
    slow = SlowRun(own_server)
    slow.cleanup.sql("CREATE INDEX ON slow (a)")
    slow.cleanup.run("slow", max_rows=500)
    standby = new_server.adopt(own_server.standby())
    run_id = slow.start()
    there = Cleanup(standby, "postgres")
    there.wait_until("SELECT count(*) = 1 FROM cleanup_progress WHERE rows > 0")
    progress = there.row("SELECT * FROM cleanup_progress")
    assert (progress.run_id, progress.status) == (run_id, "running")
    now = stats(there)
    assert (now.state, now.last_status) == ("running", "running")
    assert now.rows > 500 and now.oldest_row is not None and now.table_bytes > 0
    assert [row.status for row in findings(there, "dead_runs")] == ["ok"]
    with pytest.raises(Exception, match="read-only"):
        there.sql("SELECT cleanup_pause('here')")
    slow.set_pace(0)
    slow.cleanup.wait_for_run(run_id)
    there.close()


def test_other_settings_of_the_caller_change_nothing(slow):
    slow.cleanup.sql("CREATE INDEX ON slow (a)")
    expected = stats(slow.cleanup)
    for setting in ("DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "search_path = ''", "TimeZone = 'Asia/Kathmandu'",
                    "standard_conforming_strings = off", "enable_indexscan = off", "default_transaction_isolation = 'serializable'",
                    "session_replication_role = replica", "row_security = off"):
        with slow.cleanup.connection.cursor() as cursor:
            cursor.execute(f"SET {setting}")
            cursor.execute("SELECT oldest_row = %s, overdue > '29 days' AND overdue < '31 days', state"
                           " FROM public.cleanup_stats()", [expected.oldest_row])
            assert cursor.fetchall() == [(True, True, "ready")], setting
            cursor.execute("RESET ALL")
