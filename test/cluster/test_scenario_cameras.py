"""The scenarios whose wishes plain deletes fulfil: dry run equals run, and what is left equals the stored truth."""

import pathlib

import pytest

from surface import Cleanup
from truth import differences, fresh_enough

SCENARIOS = pathlib.Path(__file__).resolve().parent.parent / "scenarios"


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def load(cleanup, scenario):
    cleanup.server.psql(SCENARIOS / f"{scenario}.sql", dbname=cleanup.dbname)


def run_as_previewed(cleanup, policy):
    """Dry run, then run: the same rows, dependent rows and bytes; then nothing is left to do. The run's result."""
    before = cleanup.dry_run(policy)
    done = cleanup.run(policy)
    assert done.status == "succeeded", done
    assert (done.rows, done.dependent_rows, done.row_bytes) == (
        before.eligible_rows, before.dependent_rows, before.row_bytes), (before, done)
    assert before.blocked_rows == before.held_rows == done.skipped_rows == 0
    assert (done.row_bytes > 0) == (done.rows > 0)
    after = cleanup.dry_run(policy)
    assert (after.eligible_rows, after.dependent_rows, after.row_bytes) == (0, 0, 0)
    again = cleanup.run(policy)
    assert (again.status, again.rows, again.dependent_rows) == ("succeeded", 0, 0), again
    return done


def add_camera_policies(cleanup):
    cleanup.add_policy("old_detections", "cameras.detection", "detected_at", "30 days", batch_size=1000)
    cleanup.add_policy("old_events", "cameras.event", "started_at", "30 days")
    cleanup.add_policy("old_gpu_stats", "cameras.gpu_stats", "recorded_at", "30 days")
    cleanup.add_policy("old_logs", "cameras.log", "timestamp", "7 days")


def count(cleanup, query):
    return cleanup.value(f"SELECT count(*) FROM {query}")


def test_cameras_policy_by_policy(cleanup):
    load(cleanup, "cameras")
    add_camera_policies(cleanup)
    due = {
        "old_detections": count(cleanup, "cameras.detection WHERE detected_at < now() - interval '30 days'"),
        "old_events": count(cleanup, "cameras.event WHERE started_at < now() - interval '30 days'"),
        "old_gpu_stats": count(cleanup, "cameras.gpu_stats WHERE recorded_at < now() - interval '30 days'"),
        "old_logs": count(cleanup, 'cameras.log WHERE "timestamp" < now() - interval \'7 days\''),
    }
    done = {policy: run_as_previewed(cleanup, policy) for policy in due}
    assert {policy: result.rows for policy, result in done.items()} == due
    # Young detections of old events go along by their cascade.
    assert done["old_events"].dependent_rows > 0
    assert done["old_detections"].dependent_rows == 0
    assert fresh_enough(cleanup, "cameras")
    assert differences(cleanup, "cameras") == []


def test_cameras_dependents_before_their_own_policy(cleanup):
    """Events first: each takes its detections along, so the detections' policy finds fewer rows."""
    load(cleanup, "cameras")
    add_camera_policies(cleanup)
    total = count(cleanup, "cameras.detection")
    events = run_as_previewed(cleanup, "old_events")
    assert count(cleanup, "cameras.detection") == total - events.dependent_rows
    detections = run_as_previewed(cleanup, "old_detections")
    assert count(cleanup, "cameras.detection") == total - events.dependent_rows - detections.rows
    run_as_previewed(cleanup, "old_gpu_stats")
    run_as_previewed(cleanup, "old_logs")
    assert fresh_enough(cleanup, "cameras")
    assert differences(cleanup, "cameras") == []


def test_cameras_all_at_once(cleanup):
    load(cleanup, "cameras")
    add_camera_policies(cleanup)
    first = cleanup.runs()
    assert [row.status for row in first] == ["succeeded"] * 4, first
    assert len({row.run_id for row in first}) == 1
    # What references comes before what is referenced.
    order = [row.policy for row in first]
    assert order.index("old_detections") < order.index("old_events")
    assert fresh_enough(cleanup, "cameras")
    assert differences(cleanup, "cameras") == []
    second = cleanup.runs()
    assert [(row.status, row.rows, row.dependent_rows) for row in second] == [("succeeded", 0, 0)] * 4, second
    assert differences(cleanup, "cameras") == []


def test_pipelines_plain_deletes(cleanup):
    load(cleanup, "pipelines")
    cleanup.sql("SET TimeZone = 'America/New_York'")  # the policy's zone counts, not the session's
    zone = {"time_zone": "UTC"}
    cleanup.add_policy("failed_operations", "pipelines.operation", "started_at", "14 days", condition="status = 'failed'", **zone)
    cleanup.add_policy("completed_operations", "pipelines.operation", "started_at", "90 days", condition="status = 'completed'", **zone)
    cleanup.add_policy("other_operations", "pipelines.operation", "started_at", "30 days",
                       condition="status NOT IN ('failed', 'completed')", **zone)
    cleanup.add_policy("transformation_logs", "pipelines.transformation_log", "logged_on", "7 days", **zone)
    cleanup.add_policy("system_logs", "pipelines.system_log", "logged_ms", "30 days", age_unit="ms", **zone)
    for policy in ("failed_operations", "completed_operations", "other_operations"):
        done = run_as_previewed(cleanup, policy)
        assert done.rows > 0
        assert done.dependent_rows == 3 * done.rows  # its steps
    for policy in ("transformation_logs", "system_logs"):
        assert run_as_previewed(cleanup, policy).rows > 0
    assert fresh_enough(cleanup, "pipelines")
    assert differences(cleanup, "pipelines") == []


def test_transcripts_rows_under_a_guard(cleanup):
    load(cleanup, "transcripts")
    cleanup.add_policy("anonymous_transcripts", "transcripts.transcript", "created_at", "7 days",
                       condition="user_id IS NULL", guard="(SELECT public_mode FROM transcripts.settings)")
    total = count(cleanup, "transcripts.transcript")
    cleanup.sql("UPDATE transcripts.settings SET public_mode = false")
    assert any("guard" in warning.lower() for warning in cleanup.dry_run("anonymous_transcripts").warnings)
    off = cleanup.run("anonymous_transcripts")
    assert (off.status, off.rows) == ("skipped", 0), off
    assert "guard" in off.message
    assert count(cleanup, "transcripts.transcript") == total

    cleanup.sql("UPDATE transcripts.settings SET public_mode = true")
    done = run_as_previewed(cleanup, "anonymous_transcripts")
    assert done.rows == count(cleanup, "transcripts.doomed")
    assert fresh_enough(cleanup, "transcripts")
    assert differences(cleanup, "transcripts", ["transcript"]) == []
    # Nothing else goes: the relations come with their own feature.
    for table, rows in (("meeting", 1500), ("recording", 1000), ("meeting_consent", 4500), ("room", 20)):
        assert count(cleanup, f"transcripts.{table}") == rows
