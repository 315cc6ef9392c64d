"""Databases as versions of the past left them, with tables, policies and a history."""

import re

from conftest import DATA
from pgserver import REPO

PRESENT = re.search(r"^default_version *= *'(.*)'", (REPO / "pg_cleanup.control").read_text(), re.M)[1]
VERSIONS = sorted(path.stem.removeprefix("pg_cleanup--") for path in DATA.glob("pg_cleanup--*.sql"))

TABLES = """
CREATE TABLE events (id int PRIMARY KEY, at timestamptz, kind text);
INSERT INTO events SELECT n, now() - n * interval '1 day', 'x' FROM generate_series(1, 50) n;
CREATE TABLE notes (id int PRIMARY KEY, event int REFERENCES events ON DELETE CASCADE, at timestamptz);
CREATE INDEX ON notes (event);
INSERT INTO notes SELECT n, n, now() - n * interval '1 day' FROM generate_series(1, 50) n;
"""

# Tables of the first version on, with what they are sorted by.
RECORDED = {
    "cleanup_policies": "policy_id", "cleanup_bindings": "policy_id", "cleanup_runs": "run_id",
    "cleanup_run_targets": "run_id, policy, table_name, kind", "cleanup_totals": "policy_id", "cleanup_audit": "audit_id",
    "cleanup_pauses": "paused_at",
}


def columns(cleanup, table):
    return [row.attname for row in cleanup.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", [table])]


def contents(cleanup, known):
    """The rows of each recorded table, by the columns that the old version knew."""
    return {table: cleanup.rows(f"SELECT {', '.join(known[table])} FROM {table} ORDER BY {order}")
            for table, order in RECORDED.items()}


def install(cleanup, version, schema=None):
    if schema:
        cleanup.sql(f'CREATE SCHEMA "{schema}"')
        cleanup.sql(f'SET search_path = public, "{schema}"')
    cleanup.sql(f"CREATE EXTENSION pg_cleanup VERSION '{version}'" + (f' SCHEMA "{schema}"' if schema else ""))


def install_with_policies(cleanup, version):
    """The old version with two policies. Its library is not to be had any more, so the present version makes them first,
    and they are put into the old one's tables: bound, with the present fingerprints."""
    install(cleanup, PRESENT)
    cleanup.add_policy("events", "events", "at", "30 days", condition="kind = 'x'", batch_size=5, description="kept")
    cleanup.add_policy("notes", "notes", "at", "40 days", time_zone="Europe/Berlin", enabled=False)
    cleanup.sql("""
        CREATE TABLE saved_policies AS SELECT *, target::regclass AS table FROM cleanup_policies;
        ALTER TABLE saved_policies DROP COLUMN target;
        ALTER TABLE saved_policies RENAME COLUMN "table" TO target;
        CREATE TABLE saved_bindings AS SELECT * FROM cleanup_bindings;
        DROP EXTENSION pg_cleanup""")
    install(cleanup, version)
    cleanup.sql("ALTER TABLE cleanup_policies DISABLE TRIGGER USER")
    for table in ("policies", "bindings"):
        names = ", ".join(columns(cleanup, f"cleanup_{table}"))
        cleanup.sql(f"INSERT INTO cleanup_{table} ({names}) SELECT {names} FROM saved_{table}; DROP TABLE saved_{table}")
    cleanup.sql("""
        SELECT setval(pg_get_serial_sequence('cleanup_policies', 'policy_id'), 2);
        ALTER TABLE cleanup_policies ENABLE ALWAYS TRIGGER cleanup_policy_check;
        ALTER TABLE cleanup_policies ENABLE ALWAYS TRIGGER cleanup_policy_changed""")


def write_history(cleanup):
    """Two runs, the sums of three earlier ones, a pause, and their audit, as the first version wrote them."""
    cleanup.sql("""
        INSERT INTO cleanup_runs (trigger, requested_by, started_at, finished_at, status)
          SELECT 'manual', 'postgres', now() - n * interval '1 hour', now() - n * interval '59 minutes', 'succeeded'
          FROM generate_series(1, 2) n;
        INSERT INTO cleanup_run_targets (run_id, policy_id, policy, table_name, kind, action, status, rows, batches)
          SELECT run_id, 1, 'events', 'public.events', 'target', 'delete', 'succeeded', run_id * 10, 2 FROM cleanup_runs;
        INSERT INTO cleanup_totals (policy_id, runs, rows, first_run_at, last_run_at)
          VALUES (1, 3, 140, now() - interval '9 days', now() - interval '8 days');
        INSERT INTO cleanup_pauses (paused_by, reason, resumed_at, resumed_by) VALUES ('postgres', 'moving', now(), 'postgres');
        INSERT INTO cleanup_audit (actor, event, policy, run_id, rows)
          SELECT 'postgres', 'run', 'events', run_id, run_id * 10 FROM cleanup_runs""")
