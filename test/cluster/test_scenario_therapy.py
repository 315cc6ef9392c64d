"""Therapy-session audio, as far as rows go: failed sessions lose their audio and stay, once."""

import pytest

from scenarios import check_truth_and_second_run, import_example, load, run_all
from surface import Cleanup


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def test_failed_sessions_lose_their_audio(cleanup):
    load(cleanup, "therapy")
    import_example(cleanup, "therapy")
    planned = cleanup.dry_run("failed_sessions")
    assert planned.eligible_rows == cleanup.value("SELECT count(*) FROM therapy.must_change") > 0
    (done,) = run_all(cleanup)
    assert (done.rows, done.action) == (planned.eligible_rows, "update")
    check_truth_and_second_run(cleanup, "therapy", changed=lambda table, now, before: now == {**before, "audio_filename": None})


def test_one_file_in_use_again_is_not_lost(cleanup):
    """A session that is done meanwhile keeps its audio, whatever its age."""
    load(cleanup, "therapy")
    import_example(cleanup, "therapy")
    cleanup.sql("UPDATE therapy.session SET status = 'done' WHERE status = 'failed'")
    (done,) = run_all(cleanup)
    assert done.rows == 0
    assert cleanup.value("SELECT count(*) FROM therapy.session WHERE audio_filename IS NULL") == 0
