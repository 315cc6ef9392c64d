"""Servers that keep schedules, and a clock that tests set: days pass in seconds."""

import datetime
import re
import time

from surface import Cleanup

UTC = datetime.timezone.utc
PRELOADED = {"shared_preload_libraries": "pg_cleanup"}


def instant(text):
    """'2026-03-29 00:59:50' in UTC."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def offset_to(text):
    return int((instant(text) - datetime.datetime.now(UTC)).total_seconds())


def configure(server, name, value):
    """ALTER SYSTEM; effective at once."""
    server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    server.sql("SELECT pg_reload_conf()")


def poll(condition, what, timeout=60.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def set_clock(server, text):
    """The clock of schedules shows this time (UTC) now, and goes on from there."""
    configure(server, "pg_cleanup.test_clock_offset", offset_to(text))


def clock_options(text):
    """The clock, for a server that is about to start."""
    return {"pg_cleanup.test_clock_offset": offset_to(text)}


def restart_at(server, text, **settings):
    """Stops the server, and starts it again when that time has come."""
    server.sql("ALTER SYSTEM RESET pg_cleanup.test_clock_offset")
    server.restart(**settings, **clock_options(text))


class Scheduled:
    """A database with a table `events` of due and young rows, and the policy `old`."""

    def __init__(self, server, dbname="postgres", rows=100, **policy):
        self.server = server
        self.cleanup = Cleanup(server, dbname)
        self.sql, self.value = self.cleanup.sql, self.cleanup.value
        self.sql("CREATE EXTENSION IF NOT EXISTS pg_cleanup")
        self.sql("CREATE TABLE events (id int, at timestamptz)")
        self.fill(rows)
        self.cleanup.add_policy("old", "events", "at", "30 days", **{"time_zone": "UTC", **policy})

    def fill(self, rows=100):
        self.sql("DELETE FROM events")
        self.sql("INSERT INTO events SELECT n, now() - interval '90 days' FROM generate_series(1, %s) n", [rows])
        self.sql("INSERT INTO events VALUES (0, now())")

    def close_gate(self):
        """From now on a delete waits until open_gate()."""
        self.sql("CREATE TABLE gate AS SELECT false AS open")
        self.sql("""CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN WHILE NOT (SELECT open FROM public.gate) LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN OLD; END $$""")
        self.sql("CREATE TRIGGER gate BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION wait_at_gate()")

    def open_gate(self):
        self.sql("UPDATE gate SET open = true")

    def schedule(self, policy="old", **named):
        given = ", ".join(f"{name} => %s" for name in named)
        return self.value(f"SELECT cleanup_schedule(%s, {given})", [policy, *named.values()])

    def due(self):
        return self.value("SELECT count(*) FROM events WHERE at < now() - interval '30 days'")

    def young(self):
        return self.value("SELECT count(*) FROM events WHERE at >= now() - interval '30 days'")

    def runs(self):
        return self.cleanup.rows("SELECT * FROM cleanup_runs ORDER BY run_id")

    def wait_for_running(self):
        """Waits until a run works on a policy; its id."""
        self.cleanup.wait_until("SELECT count(*) = 1 FROM cleanup_progress", what="a run at work")
        return self.value("SELECT run_id FROM cleanup_progress")

    def wait_for_runs(self, count, timeout=60.0):
        """Waits for that many runs, all over; there are no more of them."""
        self.cleanup.wait_until("SELECT count(*) >= %s AND bool_and(status <> 'running') FROM cleanup_runs", [count], timeout,
                                f"{count} finished runs")
        runs = self.runs()
        assert len(runs) == count, runs
        return runs

    def looks(self):
        """How often the launcher has looked into a database so far."""
        detail = self.value("SELECT detail FROM cleanup_check() WHERE check_name = 'launcher'")
        found = re.search(r"(\d+) looks", detail)
        return int(found[1]) if found else -1

    def wait_for_look(self):
        before = self.looks()
        self.sql("SELECT pg_reload_conf()")
        poll(lambda: self.looks() > max(before, 0), "the launcher to look at this database")

    def wait_until_quiet(self):
        """Waits until the launcher has started what is due by the clock as it is now, and that is over."""
        for _ in range(2):  # what the first look finds is started before the second one
            self.wait_for_look()
        self.cleanup.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'pg_cleanup%'"
                                " AND backend_type <> 'pg_cleanup launcher')", what="the end of every worker")

    def state(self):
        """What became of the schedule of `old`."""
        return self.cleanup.row("SELECT t.* FROM cleanup_schedule_states t JOIN cleanup_schedules USING (schedule_id)"
                                " JOIN cleanup_policies USING (policy_id) WHERE policy = 'old'")

    def next_run_at(self, policy="old"):
        return self.value("SELECT next_run_at FROM cleanup_stats(%s)", [policy])
