"""The launcher: finds the databases, is in nobody's way, stops what it must, and comes back from everything."""

import pathlib
import time

import psycopg2
import pytest

from pgserver import SOAK
from schedules import PRELOADED, Scheduled, clock_options, configure, instant, poll, set_clock
from slow_run import SlowRun

NOON = clock_options("2026-05-01 12:00:00")
OURS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_cleanup%' AND datname IS NOT NULL"


@pytest.fixture
def server(new_server):
    return new_server({**PRELOADED, **NOON})


def launcher(server):
    return server.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_cleanup launcher'")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_three_databases_of_twenty(server):
    for n in range(20):
        server.sql(f"CREATE DATABASE d{n}")
    server.sql("CREATE DATABASE tmpl IS_TEMPLATE true")
    server.sql("CREATE DATABASE closed")
    three = [Scheduled(server, f"d{n}") for n in (3, 11, 17)]
    for one in three:
        one.schedule(at="03:00")
    server.sql("CREATE EXTENSION pg_cleanup", dbname="closed")
    server.sql("UPDATE pg_database SET datallowconn = false WHERE datname = 'closed'")
    set_clock(server, "2026-05-02 03:00:00")
    for one in three:
        (run,) = one.wait_for_runs(1)
        assert run.status == "succeeded" and one.due() == 0
    three[0].wait_until_quiet()
    for one in three:
        one.cleanup.close()
    # Nobody of ours is in the way, wherever.
    server.sql("CREATE DATABASE copy TEMPLATE d3")
    for n in range(20):
        server.sql(f"DROP DATABASE d{n}")
    copy = Scheduled.__new__(Scheduled)
    copy.__dict__.update(three[0].__dict__)
    copy.cleanup = type(three[0].cleanup)(server, "copy")
    copy.sql, copy.value = copy.cleanup.sql, copy.cleanup.value
    copy.fill()
    set_clock(server, "2026-05-03 03:00:00")
    copy.wait_for_runs(2)
    assert copy.due() == 0


def test_idle(server):
    """No connection of ours to any database, and next to no time of the CPU, while nothing is due."""
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    pid = launcher(server)
    seconds = 600 if SOAK else 20
    cpu, until, seen = cpu_seconds(pid), time.monotonic() + seconds, 0
    connection = server.connect()
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(OURS)
            seen += cursor.fetchone()[0]
            time.sleep(0.1)
    connection.close()
    assert seen == 0
    assert cpu_seconds(pid) - cpu <= max(0.001 * seconds, 0.02)
    assert launcher(server) == pid


def test_only_named_databases(new_server):
    server = new_server({**PRELOADED, **NOON, "pg_cleanup.databases": 'one, "Two"'})
    for name in ("one", '"Two"', "three"):
        server.sql(f"CREATE DATABASE {name}")
    databases = [Scheduled(server, name) for name in ("one", "Two", "three")]
    for scheduled in databases[:2]:
        assert scheduled.schedule(at="03:00") == instant("2026-05-02 03:00:00")
    assert databases[2].schedule(at="03:00") is None
    assert "pg_cleanup.databases" in databases[2].value("SELECT detail FROM cleanup_check() WHERE check_name = 'launcher'")
    set_clock(server, "2026-05-02 03:00:00")
    for scheduled in databases[:2]:
        scheduled.wait_for_runs(1)
    databases[0].wait_until_quiet()
    assert databases[2].runs() == []
    configure(server, "pg_cleanup.databases", "")
    databases[2].cleanup.wait_until("SELECT count(*) = 1 FROM cleanup_runs WHERE status = 'succeeded'")


def test_switched_off_it_stops_running_runs(server):
    scheduled = Scheduled(server)
    scheduled.close_gate()
    scheduled.schedule(at="03:00")
    set_clock(server, "2026-05-02 03:00:00")
    run_id = scheduled.wait_for_running()
    configure(server, "pg_cleanup.enabled", "off")
    run = scheduled.cleanup.wait_for_run(run_id)
    assert (run.status, run.message) == ("cancelled", "pg_cleanup.enabled was turned off")
    assert scheduled.due() == 100
    assert scheduled.next_run_at() is None
    # A run by hand is not concerned.
    scheduled.open_gate()
    assert scheduled.cleanup.run("old").rows == 100


def test_at_most_so_many_at_a_time(new_server):
    server = new_server({**PRELOADED, **NOON, "pg_cleanup.max_workers": 2})
    scheduled = Scheduled(server)
    scheduled.close_gate()
    for n in range(4):
        scheduled.sql(f"CREATE TABLE events_{n} AS TABLE events")
        scheduled.sql(f"CREATE TRIGGER gate BEFORE DELETE ON events_{n} FOR EACH ROW EXECUTE FUNCTION wait_at_gate()")
        scheduled.cleanup.add_policy(f"p{n}", f"events_{n}", "at", "30 days", time_zone="UTC")
        scheduled.schedule(f"p{n}", at="03:00")
    set_clock(server, "2026-05-02 03:00:00")
    scheduled.cleanup.wait_until("SELECT count(*) = 2 FROM cleanup_progress")
    scheduled.sql("SELECT pg_reload_conf()")  # looks again, and starts no more
    scheduled.cleanup.wait_until("SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'pg_cleanup run'")
    assert scheduled.value("SELECT count(*) FROM cleanup_runs") == 2
    scheduled.open_gate()
    assert [run.status for run in scheduled.wait_for_runs(4)] == ["succeeded"] * 4


def test_no_free_worker_slot(new_server):
    """The run waits, and comes when there is room."""
    server = new_server({**PRELOADED, **NOON, "max_worker_processes": 4})  # PostgreSQL's own launcher of logical replication takes one
    scheduled = Scheduled(server)
    scheduled.close_gate()
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    busy = scheduled.cleanup.start("old")  # takes both slots that the launcher leaves
    scheduled.wait_for_running()
    set_clock(server, "2026-05-02 03:00:00")
    scheduled.open_gate()
    scheduled.cleanup.wait_for_run(busy)
    scheduled.cleanup.wait_until("SELECT count(*) = 1 FROM cleanup_runs WHERE trigger = 'schedule' AND status = 'succeeded'")


@pytest.mark.parametrize("victim", ["launcher", "run", "owner"])
def test_killed(server, victim):
    scheduled = Scheduled(server)
    scheduled.close_gate()
    scheduled.schedule(at="03:00")
    set_clock(server, "2026-05-02 03:00:00")
    run_id = scheduled.wait_for_running()
    kinds = {"launcher": "pg_cleanup launcher", "run": "pg_cleanup run", "owner": "pg_cleanup worker"}
    pid = server.value("SELECT pid FROM pg_stat_activity WHERE backend_type = %s", [kinds[victim]])
    scheduled.cleanup.close()
    server.kill9(pid)
    server.wait_for_log("all server processes terminated; reinitializing")
    server.wait_until_ready()
    scheduled.open_gate()
    set_clock(server, "2026-05-03 03:00:00")
    scheduled.cleanup.wait_until("SELECT count(*) = 1 FROM cleanup_runs WHERE status = 'succeeded'")
    assert scheduled.cleanup.run_row(run_id).status == "interrupted"
    assert (scheduled.due(), scheduled.young(), scheduled.state().runs) == (0, 1, 2)


def test_launcher_terminated(server):
    """It comes back, and the run that it started goes on."""
    scheduled = Scheduled(server)
    scheduled.close_gate()
    scheduled.schedule(at="03:00")
    set_clock(server, "2026-05-02 03:00:00")
    run_id = scheduled.wait_for_running()
    before = launcher(server)
    server.sql(f"SELECT pg_terminate_backend({before})")
    poll(lambda: launcher(server) not in (None, before), "another launcher")
    scheduled.open_gate()
    assert scheduled.cleanup.wait_for_run(run_id).status == "succeeded"
    set_clock(server, "2026-05-03 03:00:00")
    scheduled.wait_for_runs(2)


def test_fast_stop_during_a_run(server):
    slow = SlowRun(server.sql("CREATE EXTENSION pg_cleanup") or server, batch_size=5)
    slow.cleanup.sql("SELECT cleanup_schedule('slow', at => '03:00')")
    set_clock(server, "2026-05-02 03:00:00")
    slow.cleanup.wait_until("SELECT count(*) = 1 AND min(rows) > 0 FROM cleanup_progress")
    slow.cleanup.close()
    begin = time.monotonic()
    server.stop()
    stopped = time.monotonic() - begin
    server.start()
    (run,) = slow.cleanup.rows("SELECT * FROM cleanup_runs")
    assert run.status == "interrupted", run
    slow.check_counters(run.run_id)
    assert stopped < 30, "waits for a batch, not for the run"


def test_standby_and_promotion(server, new_server):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    standby = new_server.adopt(server.standby(PRELOADED))
    assert launcher(standby) is None
    on_standby = standby.sql("SELECT next_run_at FROM cleanup_stats('old')")
    assert on_standby == [(None,)]
    assert standby.value("SELECT status FROM cleanup_check() WHERE check_name = 'launcher'") == "ok"
    scheduled.cleanup.close()
    server.stop()
    standby.promote()
    promoted = Scheduled.__new__(Scheduled)
    promoted.__dict__.update(scheduled.__dict__)
    promoted.server, promoted.cleanup = standby, type(scheduled.cleanup)(standby, "postgres")
    promoted.sql, promoted.value = promoted.cleanup.sql, promoted.cleanup.value
    poll(lambda: launcher(standby) is not None, "the launcher after the promotion")
    promoted.wait_until_quiet()
    assert promoted.runs() == []
    set_clock(standby, "2026-05-02 03:00:00")
    promoted.wait_for_runs(1)
    assert promoted.due() == 0


def test_dropped_under_its_feet(server):
    """An extension or a database that goes takes its schedules along; nothing fails."""
    server.sql("CREATE DATABASE gone")
    scheduled, gone = Scheduled(server), Scheduled(server, "gone")
    for one in (scheduled, gone):
        one.schedule(at="03:00")
        one.wait_until_quiet()
    gone.cleanup.close()
    server.sql("DROP DATABASE gone")
    scheduled.sql("DROP EXTENSION pg_cleanup")
    set_clock(server, "2026-05-02 03:00:00")
    server.sql("CREATE DATABASE other")
    other = Scheduled(server, "other")
    other.wait_until_quiet()
    assert "could not be carried out" not in server.log()
    with pytest.raises(psycopg2.errors.UndefinedTable):
        scheduled.runs()


def test_a_locked_table_holds_up_one_database_only(server):
    """A look that cannot be had is given up soon, tried again later, and counted."""
    server.sql("CREATE DATABASE stuck")
    scheduled, stuck = Scheduled(server), Scheduled(server, "stuck")
    for one in (scheduled, stuck):
        one.schedule(at="03:00")
        one.wait_until_quiet()
    blocker = server.connect("stuck", autocommit=False)
    blocker.cursor().execute("LOCK cleanup_schedules IN ACCESS EXCLUSIVE MODE")
    set_clock(server, "2026-05-02 03:00:00")
    scheduled.wait_for_runs(1)
    failures = "SELECT detail ~ '[1-9][0-9]* failures' FROM cleanup_check() WHERE check_name = 'launcher'"
    scheduled.cleanup.wait_until(failures)
    blocker.rollback()
    blocker.close()
    stuck.wait_for_runs(1)


def test_a_run_of_an_earlier_launcher_is_followed(server):
    """Its schedule may have come due while it worked: when it ends, its database is looked at again."""
    scheduled = Scheduled(server)
    scheduled.close_gate()
    scheduled.schedule(at="03:00")
    set_clock(server, "2026-05-02 03:00:00")
    run_id = scheduled.wait_for_running()
    looks = scheduled.looks()
    server.sql(f"SELECT pg_terminate_backend({launcher(server)})")
    set_clock(server, "2026-05-03 03:00:01")  # before there is another one, which then looks once
    poll(lambda: scheduled.looks() > looks, "the look of another launcher")
    looks = scheduled.looks()
    scheduled.open_gate()
    assert scheduled.cleanup.wait_for_run(run_id).status == "succeeded"
    poll(lambda: scheduled.looks() > looks, "a look after the end of the run")
    assert scheduled.state().overlapped == 1


def test_a_database_that_cannot_be_connected_to_holds_up_no_other(server):
    """As while it is moved, renamed, or copied for hours."""
    server.sql("CREATE DATABASE moving")
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    blocker = server.connect(autocommit=False)
    blocker.cursor().execute("ALTER DATABASE moving RENAME TO moved")
    server.sql("SELECT pg_reload_conf()")
    server.poll_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND classid = 'pg_database'::regclass")
    looks = scheduled.looks()
    scheduled.schedule(at="04:00")
    poll(lambda: scheduled.looks() > looks, "a look at another database")
    blocker.rollback()
    blocker.close()


def test_an_uncommitted_change_takes_no_place_of_a_run(new_server):
    """Who changes a schedule and does not commit keeps that one from running, and no other."""
    server = new_server({**PRELOADED, **NOON, "pg_cleanup.max_workers": 1})
    server.sql("CREATE DATABASE other")
    scheduled, other = Scheduled(server), Scheduled(server, "other")
    for one in (scheduled, other):
        one.schedule(at="03:00")
        one.wait_until_quiet()
    changer = server.connect(autocommit=False)
    changer.cursor().execute("SELECT cleanup_schedule('old', at => '05:00')")
    set_clock(server, "2026-05-02 03:00:00")
    other.wait_for_runs(1)
    changer.rollback()
    changer.close()
    scheduled.wait_for_runs(1)


def test_nothing_starts_during_pg_upgrade(server):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.cleanup.close()
    server.stop()
    server.run(["pg_ctl", "-D", str(server.data), "-l", str(server.data / "upgrade.log"), "-s", "-w", "-o", f"-b -k '{server.host}'",
                "start"], as_server_user=True)
    assert launcher(server) is None
    detail = server.value("SELECT status FROM cleanup_check() WHERE check_name = 'launcher'")
    assert detail == "error"
