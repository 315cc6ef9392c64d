"""400 partitions, 380 of them due: cleanup_run against one plain DELETE and one plain DROP TABLE of all, and how long writers
to the newest partition wait.

As deletes.py: ratios of medians of interleaved rounds. BENCH_PARTITION_ROWS (default 20000000; 0 leaves it out) and
BENCH_PARTITION_ROUNDS (1).
"""

import os
import statistics
import threading
import time

import psycopg2

ROWS = int(os.environ.get("BENCH_PARTITION_ROWS", 20_000_000))
ROUNDS = int(os.environ.get("BENCH_PARTITION_ROUNDS", 1))
PARTITIONS, DUE = 400, 380
WRITERS = 4
NEWEST = "'2026-01-01 00:00:00+00'::timestamptz"
CUTOFF = f"{NEWEST} - {PARTITIONS - DUE} * interval '1 day'"


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


def run(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def make_table(connection):
    run(connection, "DELETE FROM cleanup_policies")
    run(connection, "DROP TABLE IF EXISTS bench_days")
    run(connection, "CREATE TABLE bench_days (id bigint, at timestamptz NOT NULL, payload text NOT NULL) PARTITION BY RANGE (at)")
    run(connection, f"""DO $$ BEGIN FOR day IN 0..{PARTITIONS - 1} LOOP EXECUTE format(
        'CREATE TABLE bench_days_%s PARTITION OF bench_days FOR VALUES FROM (%L) TO (%L)', day,
        {NEWEST} - (day + 1) * interval '1 day', {NEWEST} - day * interval '1 day'); END LOOP; END $$""")
    for day in range(PARTITIONS):
        run(connection, f"INSERT INTO bench_days_{day} SELECT g, {NEWEST} - {day} * interval '1 day' - g * interval '1 millisecond',"
                        f" repeat('x', 150) FROM generate_series(1, {ROWS // PARTITIONS}) g")
    run(connection, "ALTER TABLE bench_days ADD PRIMARY KEY (id, at)")
    run(connection, "CREATE INDEX ON bench_days (at)")
    run(connection, "VACUUM ANALYZE bench_days")
    run(connection, "SELECT cleanup_add_policy('bench_days', 'bench_days', 'at', '1 hour', time_zone => 'UTC')")
    run(connection, "CHECKPOINT")


def cleanup(connection):
    (status, rows, message), = run(connection, f"SELECT status, rows, message FROM cleanup_run('bench_days', as_of => {CUTOFF})")
    assert (status, message) == ("succeeded", None), (status, message)
    return rows


def one_delete(connection):
    return run(connection, f"DELETE FROM bench_days WHERE at < {CUTOFF}")


def one_drop(connection):
    """The least that PostgreSQL does to get rid of them; without counting, and with everybody locked out."""
    run(connection, "DROP TABLE " + ", ".join(f"bench_days_{day}" for day in range(PARTITIONS - DUE, PARTITIONS)))
    return ROWS // PARTITIONS * DUE


class Writer(threading.Thread):
    """Inserts into the newest partition through the table, and keeps the longest time that an INSERT took."""

    def __init__(self):
        super().__init__(daemon=True)
        self.connection, self.longest, self.written = connect(), 0.0, 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            start = time.monotonic()
            run(self.connection, f"INSERT INTO bench_days VALUES (0, {NEWEST} - (random() + 0.1) * interval '1 hour', '')")
            self.longest = max(self.longest, time.monotonic() - start)
            self.written += 1


def with_writers(connection):
    writers = [Writer() for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    rows = cleanup(connection)
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join()
    longest = max(writer.longest for writer in writers)
    (timeout,), = run(connection, "SELECT extract(epoch FROM current_setting('pg_cleanup.lock_timeout')::interval)::float8")
    print(f"| writers meanwhile | the longest of {sum(writer.written for writer in writers)} INSERTs into the newest partition,"
          f" against pg_cleanup.lock_timeout | {1000 * longest:.0f} ms, {1000 * timeout:.0f} ms |", flush=True)
    return rows


def measure(connection, work):
    make_table(connection)
    start = time.monotonic()
    rows = work(connection)
    took = time.monotonic() - start
    assert rows == ROWS // PARTITIONS * DUE, (work.__name__, rows)
    return took


def main():
    if not ROWS:
        return
    connection = connect()
    run(connection, "CREATE EXTENSION IF NOT EXISTS pg_cleanup")
    run(connection, "LOAD 'pg_cleanup'")
    times = {cleanup: [], one_delete: [], one_drop: []}
    for _ in range(ROUNDS):
        for work, took in times.items():
            took.append(measure(connection, work))
    ours = statistics.median(times[cleanup])
    for work in (one_delete, one_drop):
        other = statistics.median(times[work])
        print(f"| {PARTITIONS} partitions, {DUE} due, {ROWS} rows | cleanup_run / {work.__name__} | {ours / other:.3f} ({ours:.1f} s, {other:.1f} s) |", flush=True)
    measure(connection, with_writers)


if __name__ == "__main__":
    main()
