"""The files of examples/, imported as they are: after a run of everything the rows of each scenario are exactly those of its
truth, contents too, and a second run right after changes nothing. The larger scenarios have test files of their own."""

import pytest

from scenarios import EXAMPLES, check_truth_and_second_run, import_example, load, run_all
from surface import Cleanup


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def test_every_file_is_imported_by_a_test():
    tested = {"cameras", "transcripts", "pipelines", "therapy", "agents-default", "agents-scientific", "agents-development"}
    assert {path.stem for path in EXAMPLES.glob("*.json")} <= tested


def test_cameras(cleanup):
    load(cleanup, "cameras")
    import_example(cleanup, "cameras")
    planned = {row.policy: row for row in cleanup.dry_runs()}
    done = run_all(cleanup)
    # Events follow detections, so their dry run, for itself alone, counts detections that were gone by then.
    assert all(row.rows == planned[row.policy].eligible_rows for row in done), (planned, done)
    check_truth_and_second_run(cleanup, "cameras")
