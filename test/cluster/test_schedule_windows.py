"""Maintenance windows: nothing begins outside, a run ends with its window, and goes on in the next."""

import pytest

from schedules import PRELOADED, Scheduled, clock_options, instant, set_clock
from slow_run import SlowRun


@pytest.fixture
def server(new_server):
    return new_server({**PRELOADED, **clock_options("2026-05-01 12:00:00")})


def test_waits_for_its_window(server):
    scheduled = Scheduled(server)
    scheduled.schedule(every="1 hour", run_window="22:00-06:00")
    assert scheduled.next_run_at() == instant("2026-05-01 22:00:00")
    set_clock(server, "2026-05-01 15:30:00")
    scheduled.wait_until_quiet()
    assert scheduled.runs() == []
    set_clock(server, "2026-05-01 22:00:00")
    scheduled.wait_for_runs(1)
    scheduled.wait_until_quiet()
    assert len(scheduled.runs()) == 1, "one, however many times have passed"


def test_of_the_database(server):
    scheduled = Scheduled(server)
    scheduled.sql("ALTER DATABASE postgres SET \"pg_cleanup.window\" = '22:00-06:00'")
    scheduled.cleanup.close()
    scheduled.cleanup.add_policy("by_day", "events", "at", "30 days", time_zone="UTC")
    assert scheduled.schedule(at="12:30") == instant("2026-05-01 22:00:00")
    assert scheduled.schedule("by_day", at="12:40", run_window="12:00-13:00") == instant("2026-05-01 12:40:00")
    set_clock(server, "2026-05-01 12:45:00")
    (run,) = scheduled.wait_for_runs(1)
    assert [target.policy for target in scheduled.cleanup.targets(run.run_id)] == ["by_day"]
    scheduled.wait_until_quiet()
    assert len(scheduled.runs()) == 1


def test_a_run_goes_on_in_the_next_window(server):
    server.sql("CREATE EXTENSION pg_cleanup")
    slow = SlowRun(server, batch_size=10, time_zone="UTC")
    slow.cleanup.sql("SELECT cleanup_schedule('slow', at => '05:00', run_window => '22:00-06:00')")
    set_clock(server, "2026-05-02 05:00:00")
    slow.cleanup.wait_until("SELECT count(*) = 1 AND min(rows) > 0 FROM cleanup_progress")
    set_clock(server, "2026-05-02 06:00:00")
    slow.cleanup.wait_until("SELECT status = 'partial' FROM cleanup_runs")
    (run,) = slow.cleanup.rows("SELECT * FROM cleanup_runs")
    (target,) = slow.cleanup.targets(run.run_id)
    assert (run.status, target.status) == ("partial", "partial")
    assert "window" in target.message and "window" in run.message
    slow.check_counters(run.run_id)
    left = slow.left()
    assert left > slow.young
    slow.cleanup.wait_until("SELECT unfinished FROM cleanup_schedule_states")
    slow.cleanup.wait_until("SELECT next_run_at = '2026-05-02 22:00+00' FROM cleanup_stats('slow')")
    slow.set_pace(0)
    set_clock(server, "2026-05-02 22:00:00")
    slow.cleanup.wait_until("SELECT count(*) = 2 AND bool_and(status <> 'running') FROM cleanup_runs")
    assert slow.left() == slow.young
    slow.cleanup.wait_until("SELECT next_run_at = '2026-05-03 05:00+00' FROM cleanup_stats('slow')")


def test_policies_that_it_did_not_come_to_are_named(server):
    scheduled = Scheduled(server)
    scheduled.sql("CREATE TABLE later AS TABLE events")
    scheduled.close_gate()
    scheduled.cleanup.add_policy("zzz", "later", "at", "30 days", priority=200)
    scheduled.schedule("*", at="05:00", run_window="22:00-06:00")
    set_clock(server, "2026-05-02 05:00:00")
    run_id = scheduled.wait_for_running()
    set_clock(server, "2026-05-02 06:00:00")
    # The batch waits at the gate for longer than the window is open; it is let through, and is the last one.
    scheduled.open_gate()
    run = scheduled.cleanup.wait_for_run(run_id)
    by_policy = {target.policy: target for target in scheduled.cleanup.targets(run_id)}
    assert by_policy["zzz"].status == "skipped" and "window" in by_policy["zzz"].message
    assert "window" in run.message


def test_by_the_policys_wall_clock(new_server):
    server = new_server({**PRELOADED, **clock_options("2026-10-24 12:00:00")})
    scheduled = Scheduled(server, time_zone="Europe/Berlin")
    # Closed at the first 02:30; the second 02:10 is outside.
    scheduled.schedule(every="1 hour", run_window="02:00-02:30")
    assert scheduled.next_run_at() == instant("2026-10-25 00:00:00")
    set_clock(server, "2026-10-25 01:10:00")
    scheduled.wait_until_quiet()
    assert scheduled.runs() == []
    assert scheduled.next_run_at() == instant("2026-10-26 01:00:00")
