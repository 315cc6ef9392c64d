"""Parents with very many children: batches keep near their target although nobody knows what a row takes along, the worker's
memory stays as it is, and nobody waits long. Full size, and assertions on time, with PG_CLEANUP_SOAK=1; the rest always.
"""

import re
import subprocess
import threading
import time

import pytest

from pgserver import SOAK
from surface import Background, Cleanup

PARENTS, CHILDREN, LARGE = (1000, 2000, 2_000_000) if SOAK else (200, 100, 120_000)
TRANSACTIONS, CLIENTS = (100_000, 4) if SOAK else (2_000, 2)
STAYING = 1000  # parents that are not due
MOST_MEMORY = 8 * 1024  # kB more than a small run takes


@pytest.fixture
def cleanup(new_server):
    server = new_server({"shared_buffers": "256MB", "max_wal_size": "8GB", "track_commit_timestamp": "on", "autovacuum": "off"})
    server.sql("CREATE EXTENSION pg_cleanup")
    made = Cleanup(server, "postgres")
    made.sql("""
        CREATE TABLE parent (id bigint PRIMARY KEY, at timestamptz NOT NULL, n int NOT NULL DEFAULT 0);
        CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint NOT NULL, n int NOT NULL, filler text);
        CREATE TABLE batch (began timestamptz NOT NULL, parents int NOT NULL);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO batch SELECT now(), count(*) FROM gone; RETURN NULL; END $$""")
    yield made
    made.close()


def fill(cleanup, first, parents, children, due=True):
    cleanup.sql(f"INSERT INTO parent SELECT g, now() - interval '{'60' if due else '1'} days' FROM generate_series({first},"
                f" {first + parents - 1}) g")
    cleanup.sql(f"INSERT INTO child (parent, n, filler) SELECT {first} + (g - 1) / {children}, g, repeat('x', 50)"
                f" FROM generate_series(1, {parents * children}) g")


def declare(cleanup, more=""):
    """The key and the policy, once the rows are there."""
    cleanup.sql("CREATE INDEX ON child (parent)")
    cleanup.sql(f"ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent ON DELETE CASCADE {more}")
    cleanup.sql("CREATE TRIGGER note AFTER DELETE ON parent REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note()")
    cleanup.sql("VACUUM ANALYZE parent")
    cleanup.sql("VACUUM ANALYZE child")
    cleanup.add_policy("parents", "parent", "at", "30 days")


class Memory(threading.Thread):
    """The most that any of pg_cleanup's workers had for itself, in kB. "Pss_Anon": not "Private_Dirty", which counts those of
    the server's shared buffers that no other process has looked at yet; not "Anonymous", which counts what a new process
    still shares with postmaster."""

    def __init__(self, cleanup):
        super().__init__(daemon=True)
        self.connection, self.most, self.stopping = cleanup.connect(), 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join(10)
        self.connection.close()

    def run(self):
        with self.connection.cursor() as cursor:
            while not self.stopping.wait(0.01):
                cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'pg_cleanup%'")
                for (pid,) in cursor.fetchall():
                    try:
                        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                            self.most = max(self.most, int(re.search(r"^Pss_Anon:\s+(\d+)", file.read(), re.M)[1]))
                    except OSError:
                        pass  # it has just ended


class LockWaits(threading.Thread):
    """Watches how long pgbench's sessions wait for a lock that a run holds: how often that was seen, and the longest, in s."""

    def __init__(self, cleanup):
        super().__init__(daemon=True)
        self.connection, self.seen, self.longest, self.stopping = cleanup.connect(), set(), 0.0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join(10)
        self.connection.close()

    def run(self):
        with self.connection.cursor() as cursor:
            while not self.stopping.wait(0.01):
                cursor.execute("""
                    SELECT l.pid, l.waitstart, extract(epoch FROM clock_timestamp() - l.waitstart)::float8
                    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                    WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.application_name = 'app pgbench'
                      AND EXISTS (SELECT FROM pg_stat_activity b WHERE b.backend_type LIKE 'pg_cleanup%'
                        AND b.pid = ANY (pg_blocking_pids(l.pid)))""")
                for pid, since, seconds in cursor.fetchall():
                    self.seen.add((pid, since))
                    self.longest = max(self.longest, seconds)


def run_and_measure(cleanup):
    """Runs the policy: its result, the batches as (ms, parents), and the memory."""
    cleanup.sql("TRUNCATE batch")
    with Memory(cleanup) as memory:
        done = cleanup.run("parents")
    batches = [(row.ms, row.parents) for row in cleanup.rows(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - began)::float8 * 1000 AS ms, parents FROM batch WHERE parents > 0")]
    assert memory.most > 0 or not batches
    return done, batches, memory.most


def p95(values):
    return sorted(values)[int(len(values) * 0.95)]


def small_run(cleanup):
    """Its memory: the least of three, as a new worker has a peak of its own, which is not always seen. Its batches are slowed
    down, or it would be over before it is looked at."""
    cleanup.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';"
                "CREATE TRIGGER slow BEFORE INSERT ON batch FOR EACH ROW EXECUTE FUNCTION slow()")
    memory = []
    for n in range(3):
        fill(cleanup, 1_000_000 * (n + 1), 20, 5)
        memory.append(run_and_measure(cleanup)[2])
    cleanup.sql("DROP FUNCTION slow CASCADE")
    return min(memory)


def report(what, batches, memory, base):
    times = [ms for ms, _ in batches]
    print(f"{what}: {len(times)} batches, p95 {p95(times):.0f} ms, the longest {max(times):.0f} ms;"
          f" memory {memory} kB, of a small run {base} kB")


def add_second_way(cleanup):
    """A key that may block, and two ways to a child, so that families are gathered before they go."""
    cleanup.sql("""
        ALTER TABLE child ADD other bigint;
        CREATE INDEX ON child (other);
        ALTER TABLE child ADD FOREIGN KEY (other) REFERENCES parent ON DELETE CASCADE;
        CREATE TABLE keeper (child bigint REFERENCES child);
        CREATE INDEX ON keeper (child)""")


ways = pytest.mark.parametrize("gathered", [False, True], ids=["plain", "family"])


@ways
def test_many_children(cleanup, gathered):
    fill(cleanup, 1, PARENTS, CHILDREN)
    if gathered:
        add_second_way(cleanup)
    declare(cleanup)
    done, batches, memory = run_and_measure(cleanup)
    assert (done.status, done.rows, done.dependent_rows) == ("succeeded", PARENTS, PARENTS * CHILDREN), done
    assert cleanup.value("SELECT count(*) FROM child") == 0
    assert len(batches) > 1
    base = small_run(cleanup)
    report(f"{PARENTS} parents with {CHILDREN} children each", batches, memory, base)
    assert memory <= base + MOST_MEMORY
    if SOAK:
        assert p95([ms for ms, _ in batches]) <= 2 * batch_target(cleanup)


def fill_with_one_large(cleanup):
    """Parents, of which the one in the middle has LARGE children."""
    fill(cleanup, 1, PARENTS // 2, CHILDREN // 10)
    fill(cleanup, PARENTS // 2 + 1, 1, LARGE)
    fill(cleanup, PARENTS // 2 + 2, PARENTS // 2, CHILDREN // 10)
    return PARENTS // 2 * 2 * (CHILDREN // 10)


@ways
def test_one_large_family(cleanup, gathered):
    """It goes whole, by itself where it takes as long as no batch may, and its rows are not in memory."""
    others = fill_with_one_large(cleanup)
    if gathered:
        add_second_way(cleanup)
    declare(cleanup)
    done, batches, memory = run_and_measure(cleanup)
    assert (done.status, done.rows, done.dependent_rows) == ("succeeded", PARENTS // 2 * 2 + 1, others + LARGE), done
    assert not cleanup.rows("SELECT FROM parent UNION ALL SELECT FROM child")
    base = small_run(cleanup)
    report(f"one parent with {LARGE} children among {PARENTS}", batches, memory, base)
    # What PostgreSQL itself remembers of each child, for the constraint of `keeper`.
    queue = LARGE * 16 // 1024 if gathered else 0
    assert memory <= base + MOST_MEMORY + queue
    if SOAK:
        ordinary = sorted(ms for ms, _ in batches)[:-1]
        assert max(batches)[1] == 1 or max(batches)[0] <= 10 * batch_target(cleanup)
        assert p95(ordinary) <= 2 * batch_target(cleanup)


def test_large_family_that_stays(cleanup):
    """Whole, for the sake of one of its rows; all others go."""
    others = fill_with_one_large(cleanup)
    add_second_way(cleanup)
    declare(cleanup)
    cleanup.sql(f"INSERT INTO keeper SELECT max(id) FROM child WHERE parent = {PARENTS // 2 + 1}")
    done = cleanup.run("parents")
    assert (done.status, done.rows, done.dependent_rows, done.skipped_rows) == ("partial", PARENTS // 2 * 2, others, 1), done
    assert cleanup.value("SELECT count(*) FROM child") == LARGE
    assert cleanup.value("SELECT id FROM parent") == PARENTS // 2 + 1


def test_large_family_that_must_be_gathered(cleanup):
    """The constraints alone would delete a child before the row that keeps it, and which goes as well."""
    others = fill_with_one_large(cleanup)
    declare(cleanup)
    cleanup.sql("""
        CREATE TABLE tag (child bigint REFERENCES child ON DELETE RESTRICT, parent bigint REFERENCES parent ON DELETE CASCADE);
        INSERT INTO tag SELECT id, parent FROM child WHERE id % 1000 = 0;
        CREATE INDEX ON tag (child);
        CREATE INDEX ON tag (parent)""")
    tags = cleanup.value("SELECT count(*) FROM tag")
    done = cleanup.run("parents")
    assert (done.status, done.rows, done.dependent_rows) == ("succeeded", PARENTS // 2 * 2 + 1, others + LARGE + tags), done
    assert not cleanup.rows("SELECT FROM parent UNION ALL SELECT FROM child UNION ALL SELECT FROM tag")


def batch_target(cleanup):
    cleanup.sql("LOAD 'pg_cleanup'")
    return cleanup.value("SELECT extract(epoch FROM current_setting('pg_cleanup.batch_target_ms')::interval)::float8 * 1000")


SCRIPT = r"""
\set stay random(1, {staying})
\set due random({first}, {last})
\set what random(1, 20)
BEGIN;
UPDATE parent SET n = n + 1 WHERE id = :stay;
INSERT INTO child (parent, n) VALUES (:stay, 1);
\if :what = 1
UPDATE parent SET n = n + 1 WHERE id = :due;
\elif :what = 2
SELECT FROM child WHERE id = (SELECT max(id) FROM child WHERE parent = :due) FOR UPDATE;
\elif :what = 3
UPDATE parent SET at = now() WHERE id = :due;
\endif
COMMIT;
"""


def test_nobody_waits_long(cleanup, tmp_path):
    """pgbench works on rows that stay, and now and then on one that is due, while one run after another deletes."""
    fill(cleanup, 1, STAYING, 20, due=False)
    declare(cleanup)
    first = 1_000_000
    script = tmp_path / "script.sql"
    tmp_path.chmod(0o755)
    script.write_text(SCRIPT.format(staying=STAYING, first=first, last=first + PARENTS - 1))
    server = cleanup.server
    bench = Background(subprocess.run, [
        "pgbench", "-n", "-f", str(script), "-c", str(CLIENTS), "-t", str(TRANSACTIONS // CLIENTS),
        server.dsn("postgres", application_name="app pgbench")],
        env={"PATH": server.path, "PGAPPNAME": "app pgbench"}, capture_output=True, text=True, check=False)
    runs = deleted = 0
    began = time.monotonic()
    with LockWaits(cleanup) as waits:
        while bench.is_alive() or runs == 0:
            cleanup.sql(f"DELETE FROM parent WHERE id >= {first}")
            fill(cleanup, first, PARENTS, CHILDREN // 10)
            done = cleanup.run("parents")
            assert done.status in ("succeeded", "partial"), done
            runs, deleted = runs + 1, deleted + done.rows + done.dependent_rows
    seconds = time.monotonic() - began
    finished = bench.result()
    assert finished.returncode == 0, finished.stderr
    assert "deadlock detected" not in server.log()
    assert cleanup.value("SELECT count(*) FROM child c WHERE NOT EXISTS (SELECT FROM parent p WHERE p.id = c.parent)") == 0
    assert cleanup.value(f"SELECT count(*) FROM parent WHERE id <= {STAYING}") == STAYING
    assert cleanup.value(f"SELECT count(*) FROM child WHERE parent <= {STAYING}") == 20 * STAYING + TRANSACTIONS // CLIENTS * CLIENTS
    print(f"{TRANSACTIONS} transactions in {seconds:.0f} s; {runs} runs deleted {deleted} rows;"
          f" {len(waits.seen)} waits for a run seen, the longest {waits.longest * 1000:.0f} ms")
    if SOAK:
        lock_timeout = cleanup.value("SELECT extract(epoch FROM current_setting('pg_cleanup.lock_timeout')::interval)::float8")
        assert waits.longest <= lock_timeout
