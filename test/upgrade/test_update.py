"""ALTER EXTENSION UPDATE from every version that was released: the same catalogs as a fresh install, and all data."""

import re

import psycopg2
import pytest

from catalogs import SAME, describe, differences
from old_world import PRESENT, RECORDED, TABLES, VERSIONS, columns, contents, install, install_with_policies, write_history
from surface import Cleanup


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
    "ALTER TABLE cleanup_runs FORCE ROW LEVEL SECURITY",
    "ALTER TABLE cleanup_runs DISABLE ROW LEVEL SECURITY",
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
def test_before_the_update_everything_says_so(databases, old_versions, version):
    """The new library with the old tables: as after a package update, or pg_upgrade."""
    assert version in old_versions
    cleanup = databases(TABLES)
    install(cleanup, version)
    for statement in ["SELECT cleanup_add_policy('p', 'events', 'at', '1 day')", "SELECT * FROM cleanup_run()",
                      "SELECT * FROM cleanup_dry_run()", "SELECT * FROM cleanup_stats()", "SELECT cleanup_pause('x')"]:
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match=rf"version {version}.*\n.*ALTER EXTENSION"):
            cleanup.sql(statement)
    (only,) = cleanup.rows("SELECT * FROM cleanup_check()")
    assert (only.check_name, only.status) == ("version", "error")
    cleanup.sql(only.hint)
    cleanup.add_policy("p", "events", "at", "1 day")
    assert cleanup.run("p").status == "succeeded"
    assert cleanup.value("SELECT status FROM cleanup_check() WHERE check_name = 'version'") == "ok"


@pytest.mark.parametrize("version", VERSIONS)
def test_data_survive(databases, old_versions, version):
    assert version in old_versions
    cleanup = databases(TABLES)
    install_with_policies(cleanup, version)
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
    assert contents(cleanup, known)["cleanup_audit"][:2] == before["cleanup_audit"]
