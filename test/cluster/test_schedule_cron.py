"""cron => makes a job in pg_cron, which really fires and really deletes, wherever pg_cron lives."""

import pathlib
import subprocess

import psycopg2
import pytest

from schedules import PRELOADED, Scheduled, poll

SHARE = pathlib.Path(subprocess.run(["pg_config", "--sharedir"], check=True, text=True, capture_output=True).stdout.strip())
pytestmark = pytest.mark.skipif(not (SHARE / "extension" / "pg_cron.control").exists(), reason="pg_cron is not installed")

CRON = {"shared_preload_libraries": "pg_cron", "cron.use_background_workers": "on", "cron.database_name": "postgres"}
# The minute may just have begun, and pg_cron wakes once in it.
A_MINUTE_AND_MORE = 110


@pytest.fixture
def server(new_server):
    made = new_server(CRON)
    made.sql("CREATE EXTENSION pg_cron")
    return made


def jobs(server):
    return server.sql("SELECT jobname, schedule, command, database, username, active FROM cron.job ORDER BY jobid")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("where", ["same", "other"])
def test_fires_and_deletes(server, where):
    """Without pg_cleanup preloaded: pg_cron is enough. As a role that is no superuser."""
    dbname = "postgres" if where == "same" else "app"
    if where == "other":
        server.sql("CREATE DATABASE app")
    server.sql("CREATE ROLE keeper LOGIN")
    scheduled = Scheduled(server, dbname)
    scheduled.sql("ALTER TABLE events OWNER TO keeper; SELECT cleanup_alter_policy('old'); SELECT cleanup_grant('keeper', 'owner')")
    server.sql("GRANT USAGE ON SCHEMA cron TO keeper; GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO keeper")
    scheduled.cleanup.close()
    scheduled.cleanup.user = "keeper"
    following = scheduled.schedule(cron="* * * * *")
    now = scheduled.value("SELECT now()")
    assert 0 < (following - now).total_seconds() <= 60 and following.second == 0
    assert scheduled.next_run_at() is not None
    ((name, schedule, command, database, username, active),) = jobs(server)
    assert (name, schedule, database, username, active) == (f"pg_cleanup {dbname}: old", "* * * * *", dbname, "keeper", True)
    assert "cleanup_run_scheduled" in command
    (run, *_) = poll_runs(scheduled)
    assert (run.trigger, run.requested_by, run.status) == ("cron", "keeper", "succeeded"), run
    assert (scheduled.due(), scheduled.young()) == (0, 1)
    assert scheduled.state().runs >= 1
    # Another kind of schedule, or none, takes the job away.
    scheduled.schedule(at="03:00")
    assert jobs(server) == []


def poll_runs(scheduled):
    scheduled.cleanup.wait_until("SELECT count(*) FILTER (WHERE status <> 'running') >= 1 FROM cleanup_runs",
                                 timeout=A_MINUTE_AND_MORE, what="a run by pg_cron")
    return scheduled.runs()


@pytest.mark.parametrize("where", ["same", "other"])
def test_replaced_and_removed(server, where):
    dbname = "postgres" if where == "same" else "app"
    if where == "other":
        server.sql("CREATE DATABASE app")
    scheduled = Scheduled(server, dbname)
    scheduled.schedule(cron="0 3 * * *")
    scheduled.schedule(cron="30 4 * * 1")
    assert [job[1] for job in jobs(server)] == ["30 4 * * 1"]
    scheduled.schedule("*", cron="@hourly")
    assert len(jobs(server)) == 2
    scheduled.sql("SELECT cleanup_unschedule('*')")
    assert [job[0] for job in jobs(server)] == [f"pg_cleanup {dbname}: old"]
    scheduled.sql("SELECT cleanup_drop_policy('old')")
    assert jobs(server) == []


def test_next_run_is_what_the_expression_says(server):
    scheduled = Scheduled(server)
    assert str(scheduled.schedule(cron="30 4 1 1 *"))[5:16] == "01-01 04:30"
    assert scheduled.next_run_at() == scheduled.value("SELECT cleanup_schedule('old', cron => '30 4 1 1 *')")
    server.sql("SELECT cron.unschedule(jobid) FROM cron.job")
    assert scheduled.next_run_at() is None
    assert "not in pg_cron any more" in scheduled.value("SELECT detail FROM cleanup_check() WHERE check_name = 'pg_cron'")


def test_a_job_that_is_gone_comes_back_as_it_was(server):
    """By the statement that cleanup_check gives: without its window it would run at any hour."""
    scheduled = Scheduled(server)
    scheduled.schedule(cron="0 3 * * *", run_window="02:00-04:00")
    server.sql("SELECT cron.unschedule(jobid) FROM cron.job")
    scheduled.sql(scheduled.value("SELECT hint FROM cleanup_check() WHERE check_name = 'pg_cron'"))
    assert scheduled.sql("SELECT cron, run_window FROM cleanup_schedules")[0] == ("0 3 * * *", "02:00-04:00")
    assert [job[1] for job in jobs(server)] == ["0 3 * * *"]


def test_wrong_expression(server):
    scheduled = Scheduled(server)
    with pytest.raises(psycopg2.Error) as raised:
        scheduled.schedule(cron="every day")
    assert "every day" in str(raised.value)
    assert scheduled.value("SELECT count(*) FROM cleanup_schedules") == 0


def test_permission_is_missing(server):
    """The error says what to type."""
    server.sql("CREATE DATABASE app")
    server.sql("CREATE ROLE keeper LOGIN")
    for dbname in ("postgres", "app"):
        scheduled = Scheduled(server, dbname)
        scheduled.sql("ALTER TABLE events OWNER TO keeper; SELECT cleanup_alter_policy('old'); SELECT cleanup_grant('keeper', 'owner')")
        scheduled.cleanup.close()
        scheduled.cleanup.user = "keeper"
        with pytest.raises(psycopg2.errors.InsufficientPrivilege) as raised:
            scheduled.schedule(cron="0 3 * * *")
        assert "GRANT USAGE ON SCHEMA cron TO keeper;" in raised.value.diag.message_hint


def test_pg_cron_is_missing(new_server):
    server = new_server(PRELOADED)
    scheduled = Scheduled(server)
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as raised:
        scheduled.schedule(cron="0 3 * * *")
    assert "ALTER SYSTEM SET shared_preload_libraries = pg_cleanup, pg_cron;" in raised.value.diag.message_hint
    scheduled.cleanup.close()
    server.restart(**{**CRON, "shared_preload_libraries": "pg_cron,pg_cleanup"})
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as raised:
        scheduled.schedule(cron="0 3 * * *")
    assert raised.value.diag.message_hint == "CREATE EXTENSION pg_cron;"
    scheduled.sql("CREATE EXTENSION pg_cron")
    assert scheduled.schedule(cron="0 3 * * *") is not None


def test_what_a_job_may_not_do(server):
    """Called by hand as the job calls it: the window, the switch, the run before."""
    scheduled = Scheduled(server)
    scheduled.schedule(cron="0 3 * * *")
    schedule_id = scheduled.value("SELECT schedule_id FROM cleanup_schedules")

    def fire():
        return scheduled.value("SELECT cleanup_run_scheduled(%s)", [schedule_id])

    scheduled.close_gate()
    run_id = fire()
    scheduled.wait_for_running()
    assert fire() is None and scheduled.state().overlapped == 1
    scheduled.open_gate()
    assert scheduled.cleanup.wait_for_run(run_id).status == "succeeded"
    hour = scheduled.value("SELECT extract(hour FROM now() AT TIME ZONE 'UTC')::int")
    closed = f"{(hour + 5) % 24:02}:00-{(hour + 6) % 24:02}:00"
    scheduled.schedule(cron="0 3 * * *", run_window=closed)
    schedule_id = scheduled.value("SELECT schedule_id FROM cleanup_schedules")
    assert fire() is None
    assert scheduled.next_run_at() is None or scheduled.next_run_at().hour == 3
    scheduled.schedule(cron="0 3 * * *")
    old, schedule_id = schedule_id, scheduled.value("SELECT schedule_id FROM cleanup_schedules")
    assert scheduled.value("SELECT cleanup_run_scheduled(%s)", [old]) is None, "its schedule is gone"
    assert len(scheduled.runs()) == 1
    poll(lambda: fire() is not None, "a run of its own")


def test_a_job_of_somebody_else_says_nothing(server):
    """Neither the function that jobs call nor cleanup_check names a policy that the caller may not see."""
    scheduled = Scheduled(server)
    scheduled.sql("CREATE ROLE asker LOGIN; GRANT CREATE ON SCHEMA public TO asker")
    scheduled.sql("SELECT cleanup_grant('asker', 'owner')")
    scheduled.schedule(cron="0 3 * * *")
    scheduled.schedule("*", cron="0 4 * * *")
    own, every = (row[0] for row in server.sql("SELECT schedule_id FROM cleanup_schedules ORDER BY policy_id NULLS LAST"))
    scheduled.sql("DELETE FROM cron.job")
    with pytest.raises(psycopg2.errors.UndefinedObject) as raised:
        server.sql(f"SELECT cleanup_run_scheduled({own})", user="asker")
    assert f"no schedule {own}" in str(raised.value) and "old" not in str(raised.value)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        server.sql(f"SELECT cleanup_run_scheduled({every})", user="asker")
    assert len(server.sql("SELECT detail FROM cleanup_check() WHERE detail LIKE '%: old\"%'")) == 1
    assert server.sql("SELECT detail FROM cleanup_check() WHERE detail LIKE '%: old\"%'", user="asker") == []
    assert scheduled.runs() == []
