"""A table with a partition a day, and what a run did with them."""

from surface import literal


def make_days(cleanup, table="log", days=10, rows=100, columns=""):
    """A table with a partition for each of the last `days` days, named after its age, and one for tomorrow."""
    cleanup.sql(f"CREATE TABLE {table} (id int, at timestamptz NOT NULL, filler text{columns}) PARTITION BY RANGE (at)")
    for day in range(-1, days):
        cleanup.sql(day_partition(cleanup, table, day))
    cleanup.sql(f"INSERT INTO {table} (id, at, filler) SELECT n, date_trunc('day', now()) - n % {days} * interval '1 day' + interval '1 second',"
                f" repeat('x', 100) FROM generate_series(1, {days * rows}) n")


def day_partition(cleanup, table, day, name=None):
    bounds = cleanup.row("SELECT (date_trunc('day', now()) - %s * interval '1 day')::text AS low,"
                         " (date_trunc('day', now()) - %s * interval '1 day')::text AS high", [day, day - 1])
    return f"CREATE TABLE {name or f'{table}_{day + 1}'} PARTITION OF {table} FOR VALUES FROM ({literal(bounds.low)}) TO ({literal(bounds.high)})"


def partitions(cleanup, table="log"):
    return {row[0] for row in cleanup.rows(f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass")}


def audited(cleanup, run_id):
    """Partitions that a run removed, and how many rows each had."""
    return {row.partition: row.rows for row in cleanup.rows(
        "SELECT details ->> 'partition' AS partition, rows FROM cleanup_audit WHERE run_id = %s AND event IN ('partition_dropped', 'partition_detached')",
        [run_id])}
