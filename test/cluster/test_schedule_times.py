"""When scheduled runs start: by the wall clock, through the nights in which it changes, and not twice."""

import pytest

from schedules import PRELOADED, Scheduled, clock_options, configure, instant, restart_at, set_clock


@pytest.fixture
def server(new_server):
    return new_server({**PRELOADED, **clock_options("2026-05-01 12:00:00")})


def test_runs_at_its_time(server):
    scheduled = Scheduled(server)
    assert scheduled.schedule(at="03:00") == instant("2026-05-02 03:00:00")
    assert scheduled.next_run_at() == instant("2026-05-02 03:00:00")
    set_clock(server, "2026-05-02 02:59:58")
    (run,) = scheduled.wait_for_runs(1)
    assert (run.trigger, run.status, run.requested_by) == ("schedule", "succeeded", "postgres")
    assert (scheduled.due(), scheduled.young()) == (0, 1)
    scheduled.wait_until_quiet()
    assert scheduled.next_run_at() == instant("2026-05-03 03:00:00")
    assert scheduled.state().runs == 1


def test_requested_by_the_owner_of_the_table(server):
    server.sql("CREATE ROLE keeper LOGIN")
    scheduled = Scheduled(server)
    scheduled.sql("ALTER TABLE events OWNER TO keeper")
    scheduled.sql("SELECT cleanup_alter_policy('old')")
    scheduled.schedule(at="03:00")
    set_clock(server, "2026-05-02 03:00:00")
    (run,) = scheduled.wait_for_runs(1)
    assert (run.requested_by, run.status) == ("keeper", "succeeded"), run


def test_runs_every_so_often(server):
    scheduled = Scheduled(server)
    scheduled.schedule(every="6 hours")
    for count, clock in enumerate(("2026-05-01 18:00:30", "2026-05-02 00:00:30", "2026-05-02 06:00:30"), start=1):
        scheduled.fill()
        set_clock(server, clock)
        scheduled.wait_for_runs(count)
        assert scheduled.due() == 0
    assert scheduled.state().missed == 0


@pytest.mark.parametrize("night, before, runs_at, next_at", [
    ("spring", "2026-03-28 22:00:00", "2026-03-29 01:00:00", "2026-03-30 00:30:00"),
    ("autumn", "2026-10-24 22:00:00", "2026-10-25 00:30:00", "2026-10-26 01:30:00"),
])
def test_once_in_the_nights_in_which_the_clock_changes(new_server, night, before, runs_at, next_at):
    server = new_server({**PRELOADED, **clock_options(before)})
    scheduled = Scheduled(server, time_zone="Europe/Berlin")
    assert scheduled.schedule(at="02:30") == instant(runs_at), night
    day = runs_at[:11]
    set_clock(server, f"{day}00:{'29' if night == 'autumn' else '59'}:00")
    scheduled.wait_until_quiet()
    assert scheduled.runs() == []
    set_clock(server, runs_at)
    scheduled.wait_for_runs(1)
    # 02:30 again in autumn, 03:30 in spring: the hours after the change bring no second run.
    for clock in (f"{day}01:30:05", f"{day}02:30:05"):
        set_clock(server, clock)
        scheduled.wait_until_quiet()
        assert scheduled.next_run_at() == instant(next_at)
    assert len(scheduled.runs()) == 1


def test_a_clock_that_jumps_ahead_runs_once_and_set_back_not_again(server):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    set_clock(server, "2026-05-04 12:00:00")
    scheduled.wait_for_runs(1)
    assert scheduled.state().missed == 2, "the times of the 2nd and 3rd"
    set_clock(server, "2026-05-04 02:59:59")
    scheduled.wait_until_quiet()
    assert scheduled.next_run_at() == instant("2026-05-05 03:00:00")
    assert len(scheduled.runs()) == 1


@pytest.mark.parametrize("catch_up", ["on", "off"])
def test_down_at_that_time(server, catch_up):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    scheduled.cleanup.close()
    restart_at(server, "2026-05-04 12:00:00", **{"pg_cleanup.catch_up": catch_up})
    if catch_up == "on":
        scheduled.wait_for_runs(1)
        assert scheduled.due() == 0
        assert scheduled.state().missed == 2
    scheduled.wait_until_quiet()
    if catch_up == "off":
        assert scheduled.runs() == [] and scheduled.due() == 100
        assert scheduled.state().missed == 3
    assert len(scheduled.runs()) == (1 if catch_up == "on" else 0)
    assert scheduled.next_run_at() == instant("2026-05-05 03:00:00")


def test_every_policy(server):
    scheduled = Scheduled(server)
    scheduled.sql("CREATE TABLE more AS TABLE events")
    scheduled.cleanup.add_policy("more", "more", "at", "30 days")
    scheduled.cleanup.add_policy("off", "more", "at", "1 day", enabled=False)
    assert scheduled.schedule("*", at="03:00") == instant("2026-05-02 03:00:00")
    set_clock(server, "2026-05-02 03:00:00")
    (run,) = scheduled.wait_for_runs(1)
    assert sorted(target.policy for target in scheduled.cleanup.targets(run.run_id)) == ["more", "old"]
    scheduled.wait_until_quiet()
    assert scheduled.next_run_at("more") == instant("2026-05-03 03:00:00")
    assert scheduled.next_run_at("off") is None


def test_a_disabled_policy_misses_nothing(server):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.sql("UPDATE cleanup_policies SET enabled = false")
    scheduled.cleanup.wait_until("SELECT handled_until IS NULL FROM cleanup_schedule_states")
    assert scheduled.next_run_at() is None
    set_clock(server, "2026-05-02 12:00:00")
    scheduled.sql("UPDATE cleanup_policies SET enabled = true")
    scheduled.cleanup.wait_until("SELECT handled_until >= '2026-05-02 12:00+00' FROM cleanup_schedule_states")
    scheduled.wait_until_quiet()
    assert scheduled.runs() == [] and scheduled.state().missed == 0
    set_clock(server, "2026-05-03 03:00:00")
    scheduled.wait_for_runs(1)


def test_a_changed_schedule_counts_at_once(server):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.schedule(at="12:30")
    set_clock(server, "2026-05-01 12:30:00")
    scheduled.wait_for_runs(1)
    scheduled.sql("SELECT cleanup_unschedule('old')")
    assert scheduled.next_run_at() is None
    set_clock(server, "2026-05-05 12:30:00")
    scheduled.wait_until_quiet()
    assert len(scheduled.runs()) == 1


def test_times_while_it_still_runs_are_counted_and_not_run(server):
    """Overlapping runs do not pile up."""
    scheduled = Scheduled(server)
    scheduled.close_gate()
    scheduled.schedule(every="1 hour")
    set_clock(server, "2026-05-01 13:00:30")
    scheduled.wait_for_running()
    set_clock(server, "2026-05-01 16:00:30")
    scheduled.open_gate()
    scheduled.wait_for_runs(1)
    scheduled.wait_until_quiet()
    assert scheduled.state().overlapped == 3
    assert len(scheduled.runs()) == 1
    set_clock(server, "2026-05-01 17:00:30")
    scheduled.wait_for_runs(2)


def test_off_and_on_again(server):
    scheduled = Scheduled(server)
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    configure(server, "pg_cleanup.enabled", "off")
    set_clock(server, "2026-05-02 12:00:00")
    scheduled.cleanup.wait_until("SELECT next_run_at IS NULL FROM cleanup_stats('old')")
    configure(server, "pg_cleanup.enabled", "on")
    scheduled.wait_until_quiet()
    assert scheduled.runs() == []
    assert scheduled.state().missed == 1


def test_a_server_that_was_started_with_a_clock_ahead(new_server):
    """When the clock is put right, nobody seems to have watched for days; schedules run all the same."""
    server = new_server({**PRELOADED, **clock_options("2026-05-11 12:00:00")})
    scheduled = Scheduled(server)
    scheduled.wait_until_quiet()
    set_clock(server, "2026-05-01 12:00:00")
    scheduled.schedule(at="03:00")
    scheduled.wait_until_quiet()
    set_clock(server, "2026-05-02 03:00:00")
    scheduled.wait_for_runs(1)
    assert (scheduled.due(), scheduled.state().missed) == (0, 0)


def test_a_schedule_that_cannot_be_carried_out_holds_up_no_other(server):
    """As when an update of the time zone data takes a zone away."""
    scheduled = Scheduled(server)
    scheduled.sql("CREATE TABLE elsewhere (at timestamptz)")
    scheduled.cleanup.add_policy("lost", "elsewhere", "at", "30 days")
    scheduled.schedule("lost", at="02:00")
    scheduled.sql("ALTER TABLE cleanup_policies DISABLE TRIGGER USER")
    scheduled.sql("UPDATE cleanup_policies SET time_zone = 'No/Where' WHERE policy = 'lost'")
    scheduled.sql("ALTER TABLE cleanup_policies ENABLE TRIGGER USER")
    scheduled.schedule(at="03:00")
    set_clock(server, "2026-05-02 02:59:58")
    (run,) = scheduled.wait_for_runs(1)
    assert run.status == "succeeded", run
    assert "cannot be carried out" in server.log()
    (check,) = [row for row in scheduled.cleanup.rows("SELECT * FROM cleanup_check()") if row.check_name == "schedules"]
    assert check.status == "error" and "lost" in check.detail and "No/Where" in check.detail, check
    assert scheduled.value("SELECT count(next_run_at) = 1 FROM cleanup_stats()")
    scheduled.sql(check.hint)


def test_a_window_that_is_none_is_not_taken_for_any_time(server):
    scheduled = Scheduled(server)
    scheduled.schedule("old", at="03:00", run_window="02:00-04:00")
    scheduled.sql("UPDATE cleanup_schedules SET run_window = 'night'")
    (check,) = [row for row in scheduled.cleanup.rows("SELECT * FROM cleanup_check()") if row.check_name == "schedules"]
    assert check.status == "error" and '"night"' in check.detail, check
    assert scheduled.value("SELECT next_run_at IS NULL FROM cleanup_stats('old')")
    scheduled.sql(check.hint)
    assert scheduled.value("SELECT count(*) = 0 FROM cleanup_schedules")
