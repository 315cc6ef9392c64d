"""Public transcription: meetings and recordings go with their transcripts by relations, under a guard."""

import pytest

from scenarios import check_truth_and_second_run, contents, import_example, load, run_all
from surface import Cleanup


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def test_transcripts(cleanup):
    load(cleanup, "transcripts")
    import_example(cleanup, "transcripts")
    planned = cleanup.dry_run("anonymous_transcripts")
    (done,) = run_all(cleanup)
    assert (done.rows, done.dependent_rows) == (planned.eligible_rows, planned.dependent_rows), (planned, done)
    assert done.dependent_rows > done.rows  # meetings, recordings, consents
    check_truth_and_second_run(cleanup, "transcripts")


def test_transcripts_with_the_guard_off(cleanup):
    load(cleanup, "transcripts")
    import_example(cleanup, "transcripts")
    cleanup.sql("UPDATE transcripts.settings SET public_mode = false")
    before = contents(cleanup, "transcripts")
    (done,) = run_all(cleanup, status="skipped")
    assert (done.rows, done.dependent_rows) == (0, 0) and "guard" in done.message, done
    assert contents(cleanup, "transcripts") == before
    cleanup.sql("UPDATE transcripts.settings SET public_mode = true")
    run_all(cleanup)
    check_truth_and_second_run(cleanup, "transcripts")
