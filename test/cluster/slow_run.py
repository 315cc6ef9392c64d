"""A run that takes as long as a test likes, and what must be true of it however it ends."""

from surface import Cleanup, quote

TERMINAL = ("succeeded", "partial", "skipped", "failed", "cancelled", "interrupted")


class SlowRun:
    """A table `slow` of due and young rows with the policy `slow`; a trigger sets the pace of deletes.

    Also by column "b" every row is old: whoever mistakes it for the age deletes too much.
    """

    def __init__(self, server, dbname="postgres", due=3000, young=500, batch_size=20, owner=None, **policy):
        self.cleanup = Cleanup(server, dbname)
        self.server, self.due, self.young = server, due, young
        sql = self.cleanup.sql
        sql("CREATE TABLE pace (seconds float8)")
        sql("INSERT INTO pace VALUES (0.001)")
        sql("CREATE TABLE slow (id int PRIMARY KEY, a timestamptz, b timestamptz, filler text)")
        sql("""CREATE FUNCTION slow_down() RETURNS trigger LANGUAGE plpgsql AS $$
               DECLARE s float8 := (SELECT seconds FROM public.pace);
               BEGIN IF s > 0 THEN PERFORM pg_sleep(s); END IF; RETURN OLD; END $$""")
        sql("CREATE TRIGGER slow_down BEFORE DELETE ON slow FOR EACH ROW EXECUTE FUNCTION slow_down()")
        if owner:
            for table in ("pace", "slow"):
                sql(f"ALTER TABLE {table} OWNER TO {quote(owner)}")
        self.fill()
        self.cleanup.add_policy("slow", "slow", "a", "30 days", batch_size=batch_size, **policy)

    def fill(self):
        self.cleanup.sql("TRUNCATE slow")
        self.cleanup.sql(
            "INSERT INTO slow SELECT n, now() - CASE WHEN n <= %s THEN interval '60 days' ELSE interval '1 day' END,"
            " now() - interval '90 days', repeat('x', 50) FROM generate_series(1, %s) n ORDER BY md5(n::text)",
            [self.due, self.due + self.young])
        self.cleanup.sql("ANALYZE slow")
        self.set_pace(0.001)

    def set_pace(self, seconds):
        """Seconds that each row takes from now on; 0: as fast as it goes."""
        self.cleanup.sql("UPDATE pace SET seconds = %s", [seconds])

    def start(self, rows=100, **named):
        """A run that has deleted at least so many rows, and goes on; its id."""
        run_id = self.cleanup.start("slow", **named)
        self.cleanup.wait_for_rows(run_id, rows)
        assert self.cleanup.run_row(run_id).status == "running", "too fast for the test"
        return run_id

    def left(self, table="slow"):
        return self.cleanup.value(f"SELECT count(*) FROM {table}")

    def missing(self, table="slow"):
        return self.due + self.young - self.left(table)

    def counted(self, run_id):
        return self.cleanup.value("SELECT coalesce(sum(rows), 0) FROM cleanup_run_targets WHERE run_id = %s AND kind = 'target'", [run_id])

    def check_counters(self, run_id, table="slow"):
        counted, missing = self.counted(run_id), self.missing(table)
        assert counted == missing, f"{counted} counted, {missing} missing"
        self.check_young(table)

    def check_young(self, table="slow"):
        assert self.cleanup.value(f"SELECT count(*) FROM {table} WHERE id > %s", [self.due]) == self.young

    def check_ended(self, run_id, statuses=TERMINAL, table="slow"):
        """The run is over with one of the statuses, nobody works any more, and the counters are what is missing."""
        row = self.cleanup.wait_for_run(run_id)
        self.cleanup.wait_for_no_workers()
        assert row.status in statuses, row
        assert row.finished_at is not None
        targets = self.cleanup.targets(run_id)
        assert all(target.status in TERMINAL for target in targets), targets
        self.check_counters(run_id, table)
        if row.status == "succeeded":
            assert self.left(table) == self.young, "succeeded, but due rows are left"
        return row

    def check_next_run_finishes(self, table="slow"):
        left = self.left(table)
        self.set_pace(0)
        done = self.cleanup.run("slow")
        assert (done.status, done.rows) == ("succeeded", left - self.young), done
        self.check_young(table)
        assert self.left(table) == self.young

    def check_log(self):
        log = self.server.log()
        for word in ("PANIC", "TRAP:", "terminated by signal 11", "terminated by signal 6"):
            assert word not in log, log[-5000:]
