"""ALTER EXTENSION UPDATE from every version that was released: the same catalogs as a fresh install, and all data."""

import re

import pytest

from catalogs import SAME, describe, differences
from conftest import DATA
from pgserver import REPO
from surface import Cleanup

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


@pytest.fixture(scope="module")
def as_installed(shared_server):
    with shared_server.database("as_installed") as name:
        cleanup = Cleanup(shared_server, name)
        yield cleanup, describe(cleanup)


def test_there_is_a_frozen_version(old_versions):
    assert "0.1.0" in old_versions
    assert PRESENT not in old_versions


@pytest.mark.parametrize("schema", [None, "of its own"], ids=["public", "own_schema"])
@pytest.mark.parametrize("version", VERSIONS)
def test_updated_is_as_installed_anew(databases, old_versions, version, schema):
    assert version in old_versions
    updated, fresh = databases(), databases()
    install(updated, version, schema)
    updated.sql("ALTER EXTENSION pg_cleanup UPDATE")
    install(fresh, PRESENT, schema)
    described = describe(fresh)
    assert len(described) > 100
    assert differences(describe(updated), described) == SAME
    assert updated.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_cleanup'") == PRESENT


@pytest.mark.parametrize("change", [
    "COMMENT ON FUNCTION cleanup_pause(text) IS NULL",
    "GRANT EXECUTE ON FUNCTION cleanup_stats(text) TO PUBLIC",
    "ALTER FUNCTION cleanup_stats(text) VOLATILE",
    "ALTER FUNCTION cleanup_stats(text) SET search_path = pg_catalog",
    "ALTER TABLE cleanup_runs ADD COLUMN more int",
    "ALTER TABLE cleanup_runs ALTER COLUMN message SET NOT NULL",
    "ALTER TABLE cleanup_runs ALTER COLUMN forced SET DEFAULT true",
    "COMMENT ON COLUMN cleanup_totals.first_run_at IS 'other'",
    "GRANT SELECT (policy) ON cleanup_policies TO PUBLIC",
    "ALTER TABLE cleanup_runs DROP CONSTRAINT cleanup_runs_status_check",
    "ALTER TABLE cleanup_policies ENABLE TRIGGER cleanup_policy_check",
    "ALTER TABLE cleanup_runs ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON cleanup_runs USING (true)",
    "ALTER TABLE cleanup_run_targets SET (fillfactor = 60)",
    "CREATE INDEX i ON cleanup_runs (status)",
    "ALTER TYPE cleanup_check_result ADD ATTRIBUTE more text",
    "ALTER EXTENSION pg_cleanup DROP FUNCTION cleanup_check()",
    "UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:] WHERE extname = 'pg_cleanup'",
    "ALTER EXTENSION pg_cleanup DROP VIEW cleanup_progress; DROP VIEW cleanup_progress",
    "ALTER SEQUENCE cleanup_runs_run_id_seq CACHE 5",
], ids=lambda change: re.sub(r"\W+", "_", change)[:40])
def test_the_comparison_sees(as_installed, change):
    cleanup, described = as_installed
    cleanup.sql("BEGIN")
    try:
        cleanup.sql(change)
        assert differences(describe(cleanup), described) != SAME
    finally:
        cleanup.sql("ROLLBACK")
    assert differences(describe(cleanup), described) == SAME


@pytest.mark.parametrize("version", VERSIONS)
def test_data_survive(databases, old_versions, version):
    """The history was made by the present library's version; a run of the old one is not to be had any more."""
    assert version in old_versions
    cleanup = databases(TABLES)
    install(cleanup, version)
    cleanup.add_policy("events", "events", "at", "30 days", condition="kind = 'x'", batch_size=5, description="kept")
    cleanup.add_policy("notes", "notes", "at", "40 days", time_zone="Europe/Berlin", enabled=False)
    cleanup.sql("SELECT cleanup_pause('moving'); SELECT cleanup_resume('moved')")
    write_history(cleanup)
    known = {table: columns(cleanup, table) for table in RECORDED}
    before = contents(cleanup, known)
    assert all(before.values()), {table: len(rows) for table, rows in before.items()}
    cleanup.sql("ALTER EXTENSION pg_cleanup UPDATE")
    assert contents(cleanup, known) == before
    assert [row.state for row in cleanup.rows("SELECT * FROM cleanup_policy_states() ORDER BY policy")] == ["ready", "disabled"]
    assert cleanup.row("SELECT runs, rows FROM cleanup_stats('events')") == (5, 170)

    # And it goes on: runs, and their numbers after those that there were.
    done = cleanup.run("events")
    assert (done.status, done.rows, done.dependent_rows) == ("succeeded", 21, 21)
    assert done.run_id == 3
    assert cleanup.row("SELECT runs, rows FROM cleanup_stats('events')") == (6, 191)
    assert cleanup.add_policy("new", "notes", "at", "50 days") == 3
    assert cleanup.value("SELECT count(*) FROM cleanup_check() WHERE check_name = 'version' AND status = 'ok'") == 1


def write_history(cleanup):
    """Two runs and the sums of three earlier ones, as the first version wrote them."""
    cleanup.sql("""
        INSERT INTO cleanup_runs (trigger, requested_by, started_at, finished_at, status)
          SELECT 'manual', 'postgres', now() - n * interval '1 hour', now() - n * interval '59 minutes', 'succeeded'
          FROM generate_series(1, 2) n;
        INSERT INTO cleanup_run_targets (run_id, policy_id, policy, table_name, kind, action, status, rows, batches)
          SELECT run_id, 1, 'events', 'public.events', 'target', 'delete', 'succeeded', run_id * 10, 2 FROM cleanup_runs;
        INSERT INTO cleanup_totals (policy_id, runs, rows, first_run_at, last_run_at)
          VALUES (1, 3, 140, now() - interval '9 days', now() - interval '8 days')""")
