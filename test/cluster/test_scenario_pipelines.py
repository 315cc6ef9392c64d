"""Data platform: each status its own period, copies kept for seven days."""

import pytest

from scenarios import check_truth_and_second_run, import_example, load, run_all
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
