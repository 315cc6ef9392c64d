"""Laboratory agents, in each of the three named sets: connections are closed, payloads redacted, the rest deleted, in this order;
what is left equals the stored truth, the changed contents are exactly what is wanted, and a second run changes nothing."""

import datetime

import pytest

from scenarios import EXAMPLES, check_truth_and_second_run, import_example, load, run_all
from surface import Cleanup

ORDER = ["close_connections", "redact_instructions", "delete_instructions", "archive_sessions", "delete_acknowledgements"]
HOURS = {"default": 24, "scientific": 48, "development": 4}


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


class Wanted:
    """What must_change's rows must have become."""

    def __init__(self, cleanup, name):
        self.hours = HOURS[name]
        self.started = cleanup.value("SELECT now()")
        self.sizes = dict(cleanup.rows("SELECT instruction_id, length(payload::text) FROM agents.instruction"))

    def is_now(self, text):
        """A time as text, naive in UTC or with its zone."""
        time = datetime.datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=datetime.timezone.utc)
        return self.started <= time <= self.started + datetime.timedelta(minutes=9)

    def __call__(self, table, now, before):
        return getattr(self, table)(now, before)

    def connection(self, now, before):
        return self.is_now(now["closed_at"]) and now == {
            **before, "status": "timeout", "closed_at": now["closed_at"],
            "close_reason": f"no heartbeat, timeout after {self.hours}h"}

    def instruction(self, now, before):
        at = now["payload"]["archived_at"]
        return self.is_now(at) and now == {
            **before, "payload": {"archived": True, "archived_at": at},
            "instruction_metadata": {"archived": True, "original_payload_size": self.sizes[before["instruction_id"]]}}

    def session(self, now, before):
        at = now["experimental_parameters"]["archived_at"]
        return self.is_now(at) and now == {
            **before, "experimental_parameters": {"archived": True, "archived_at": at,
                                                  "parameter_count": len(before["experimental_parameters"])}}


@pytest.mark.parametrize("name", ["default", "scientific", "development"])
def test_agents(cleanup, name):
    load(cleanup, "agents")
    policies = import_example(cleanup, f"agents-{name}")
    wanted = Wanted(cleanup, name)
    planned = {row.policy: row for row in cleanup.dry_runs()}
    assert all(row.blocked_rows == 0 for row in planned.values()), planned
    assert all(row.dependent_rows == 0 for row in planned.values()), planned
    assert not any("again" in warning for row in planned.values() for warning in row.warnings), planned
    done = run_all(cleanup)
    assert policies == ORDER
    assert [row.policy for row in done] == [policy for policy in ORDER if policy != "delete_acknowledgements" or name != "scientific"]
    assert [(row.rows, row.dependent_rows) for row in done] == [(planned[row.policy].eligible_rows, 0) for row in done]
    changes = cleanup.value(f"SELECT count(*) FROM agents.must_change_{name}")
    assert sum(row.rows for row in done if row.action == "update") == changes > 0
    check_truth_and_second_run(cleanup, "agents", changed=wanted, truth=f"_{name}")


def test_agents_one_set_imported_over_another(cleanup):
    """What the scientific set never deletes stays, also when development's had been imported before."""
    load(cleanup, "agents")
    import_example(cleanup, "agents-development")
    scientific = (EXAMPLES / "agents-scientific.json").read_text()
    cleanup.value("SELECT cleanup_import_policies(%s, replace => true)", [scientific])
    wanted = Wanted(cleanup, "scientific")
    run_all(cleanup)
    check_truth_and_second_run(cleanup, "agents", changed=wanted, truth="_scientific")


def test_agents_one_set_replaces_another(cleanup):
    """A laboratory moves from development's periods to the scientific ones: nothing is redacted twice."""
    load(cleanup, "agents")
    import_example(cleanup, "agents-development")
    run_all(cleanup)
    before = cleanup.rows("SELECT * FROM agents.session ORDER BY id")
    scientific = (EXAMPLES / "agents-scientific.json").read_text()
    assert cleanup.value("SELECT cleanup_import_policies(%s, replace => true)", [scientific]) == 5
    assert [row.rows for row in run_all(cleanup)] == [0, 0, 0, 0]
    assert cleanup.rows("SELECT * FROM agents.session ORDER BY id") == before
