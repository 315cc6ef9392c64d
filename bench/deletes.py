"""Times of deletes, as ratios of medians of interleaved runs: absolute times mean nothing on shared machines.

Each measurement has a fresh table (about 200 bytes a row, a primary key and an index on the age), analyzed, after a
CHECKPOINT. Connects as psql does.
"""

import os
import statistics
import time

import psycopg2

ROWS = int(os.environ.get("BENCH_ROWS", 5_000_000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
MEMORY_ROWS = int(os.environ.get("BENCH_MEMORY_ROWS", 20_000_000))
CUTOFF = "'2026-01-01 00:00:00+00'::timestamptz"


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


def run(connection, sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def make_table(connection, rows, due_share):
    """`due_share` of the rows are older than a fixed time; they come in the order of their age, as logs do."""
    run(connection, "DELETE FROM cleanup_policies")
    run(connection, "DROP TABLE IF EXISTS bench")
    run(connection, "CREATE TABLE bench (id bigint, at timestamptz NOT NULL, payload text NOT NULL)")
    run(connection, f"INSERT INTO bench SELECT g, {CUTOFF} + (g - %s) * interval '1 second', repeat('x', 150)"
                    " FROM generate_series(1, %s) g", int(rows * due_share), rows)
    run(connection, "ALTER TABLE bench ADD PRIMARY KEY (id)")
    run(connection, "CREATE INDEX ON bench (at)")
    run(connection, "VACUUM ANALYZE bench")
    run(connection, "SELECT cleanup_add_policy('bench', 'bench', 'at', '1 hour')")
    run(connection, "CHECKPOINT")


def cleanup(connection):
    return run(connection, f"SELECT rows FROM cleanup_run('bench', as_of => {CUTOFF})")[0][0]


def one_delete(connection):
    return run(connection, f"DELETE FROM bench WHERE at < {CUTOFF}")


def ctid_loop(connection):
    """What people write: ten thousand row ids at a time, a commit each."""
    total = 0
    while True:
        deleted = run(connection, "DELETE FROM bench WHERE ctid = ANY(ARRAY("
                                  f"SELECT ctid FROM bench WHERE at < {CUTOFF} LIMIT 10000))")
        total += deleted
        if deleted == 0:
            return total


def measure(connection, work, rows, due_share):
    make_table(connection, rows, due_share)
    start = time.monotonic()
    deleted = work(connection)
    took = time.monotonic() - start
    assert abs(deleted - int(rows * due_share)) <= 1, (work.__name__, deleted)
    return took


def compare(connection, title, works, due_share):
    times = {work.__name__: [] for work in works}
    for _ in range(ROUNDS):
        for work in works:
            times[work.__name__].append(measure(connection, work, ROWS, due_share))
    ours = statistics.median(times["cleanup"])
    for work in works[1:]:
        other = statistics.median(times[work.__name__])
        print(f"| {title} | cleanup_run / {work.__name__} | {ours / other:.2f} |", flush=True)


def private_kilobytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


def worker_memory(connection, rows):
    """The most private memory of the policy's worker, looked at as it runs; in kB."""
    make_table(connection, rows, 0.99)
    run(connection, f"SELECT run_id FROM cleanup_run('bench', as_of => {CUTOFF}, wait => false)")
    most, gone = 0, 0
    while gone < 50:
        pids = run(connection, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_cleanup worker'")
        gone = 0 if pids else gone + 1
        try:
            most = max([most] + [private_kilobytes(pid) for (pid,) in pids])
        except (FileNotFoundError, ProcessLookupError):
            continue
        time.sleep(0.02)
    return most


def main():
    connection = connect()
    run(connection, "CREATE EXTENSION IF NOT EXISTS pg_cleanup")
    print(f"{ROWS} rows, {ROUNDS} interleaved rounds\n\n| case | compared | ratio of medians |\n|---|---|---|")
    compare(connection, "80 % due", [cleanup, one_delete, ctid_loop], 0.8)
    compare(connection, "1 % due, by the index", [cleanup, one_delete], 0.01)
    if MEMORY_ROWS:
        small = worker_memory(connection, MEMORY_ROWS // 10)
        large = worker_memory(connection, MEMORY_ROWS)
        print(f"| memory | worker at {MEMORY_ROWS} due rows, above that at {MEMORY_ROWS // 10} | {(large - small) / 1024:.1f} MB |")


if __name__ == "__main__":
    main()
