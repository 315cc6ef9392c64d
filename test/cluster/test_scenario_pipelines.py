"""Data platform: each status its own period, copies kept for seven days."""

import pytest

from archives import archived, restore
from scenarios import check_truth_and_second_run, contents, import_example, load, run_all
from surface import Cleanup


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def test_pipelines(cleanup):
    load(cleanup, "pipelines")
    import_example(cleanup, "pipelines")
    planned = {row.policy: row.eligible_rows for row in cleanup.dry_runs()}
    done = run_all(cleanup)
    assert {row.policy: row.rows for row in done} == planned
    assert all(row.rows > 0 for row in done), done
    # Each row that went is in an archive, operations with their steps.
    operations = sum(row.rows for row in done if row.policy.endswith("_operations"))
    assert cleanup.value("SELECT count(*) FROM pipelines.operation_archive") == operations
    assert cleanup.value("SELECT count(*) FROM pipelines.operation_step_archive") == 3 * operations
    check_truth_and_second_run(cleanup, "pipelines")


def test_copies_come_back_and_go(cleanup):
    load(cleanup, "pipelines")
    import_example(cleanup, "pipelines")
    policies = ("failed_operations", "completed_operations", "other_operations")
    before = contents(cleanup, "pipelines")
    done = {name: cleanup.run(name) for name in policies}
    gone = sum(row.rows for row in done.values())
    assert all(row.status == "succeeded" and row.rows > 100 for row in done.values()), done
    assert archived(cleanup, "pipelines.operation_archive") == gone
    # Some of one policy, then everything.
    failed = done["failed_operations"]
    tables, conflicts = restore(cleanup, failed.run_id, "failed_operations", "pipeline = 'pipeline-8'")
    assert not conflicts and 0 < tables["pipelines.operation"].rows < failed.rows
    assert tables["pipelines.operation_step"].rows == 3 * tables["pipelines.operation"].rows
    for row in done.values():
        assert restore(cleanup, row.run_id)[1] == []
    after = contents(cleanup, "pipelines")
    assert {table: after[table] for table in before} == before
    # After seven days the copies go, too.
    for name in policies:
        cleanup.run(name)
    cleanup.sql("UPDATE pipelines.operation_archive SET cleanup_archived_at = now() - interval '169 hours';"
                "UPDATE pipelines.operation_step_archive SET cleanup_archived_at = now() - interval '169 hours'")
    for name in policies:
        cleanup.run(name)
    assert archived(cleanup, "pipelines.operation_archive") == archived(cleanup, "pipelines.operation_step_archive") == 0
    assert cleanup.value("SELECT sum(rows) FROM cleanup_audit WHERE event = 'archive_retention'") == 4 * gone
