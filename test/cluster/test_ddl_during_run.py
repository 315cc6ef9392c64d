"""The table, the policy or the extension changes in the middle of a run: nothing lost, nothing stuck, a true status."""

import psycopg2
import pytest

from slow_run import SlowRun
from surface import Background, Cleanup

ENDED_EARLY = ("failed", "cancelled", "partial", "interrupted", "skipped")


@pytest.fixture
def slow(shared_server, db):
    made = SlowRun(shared_server, db)
    yield made
    made.cleanup.close()


def test_drop_extension(own_server):
    slow = SlowRun(own_server)
    other = Cleanup(own_server, "postgres")
    waiting = Background(attempt, other, "SELECT * FROM cleanup_run('slow')")
    slow.cleanup.wait_until("SELECT coalesce(max(rows), 0) > 100 FROM cleanup_run_targets")
    slow.cleanup.sql("DROP EXTENSION pg_cleanup CASCADE")
    slow.cleanup.wait_for_no_workers()
    waiting.result()
    left = slow.left()
    assert slow.young < left < slow.young + slow.due
    slow.check_young()
    # All as new.
    slow.cleanup.sql("CREATE EXTENSION pg_cleanup")
    slow.cleanup.add_policy("slow", "slow", "a", "30 days")
    slow.check_next_run_finishes()
    slow.check_log()


def attempt(cleanup, query):
    try:
        return cleanup.rows(query)
    except psycopg2.Error as error:
        return error


def test_drop_table(slow):
    run_id = slow.start()
    slow.cleanup.sql("DROP TABLE slow")
    row = slow.cleanup.wait_for_run(run_id)
    slow.cleanup.wait_for_no_workers()
    assert row.status in ("failed", "cancelled"), row
    (target,) = slow.cleanup.targets(run_id)
    assert target.status == row.status and target.message, target
    assert target.rows >= 100


def test_truncate(slow):
    run_id = slow.start()
    slow.cleanup.sql("TRUNCATE slow")
    row = slow.cleanup.wait_for_run(run_id)
    slow.cleanup.wait_for_no_workers()
    assert row.status in ("succeeded", "partial", "failed"), row
    assert slow.counted(run_id) < slow.due


@pytest.mark.parametrize("change", [
    "ALTER TABLE slow RENAME COLUMN a TO c",
    "BEGIN; ALTER TABLE slow RENAME COLUMN a TO c; ALTER TABLE slow RENAME COLUMN b TO a; ALTER TABLE slow RENAME COLUMN c TO b; COMMIT",
    "ALTER TABLE slow ALTER COLUMN a TYPE timestamp",
    "ALTER TABLE slow ALTER COLUMN a TYPE date",
    "ALTER TABLE slow ALTER COLUMN a TYPE text",
    "ALTER TABLE slow DROP COLUMN a",
    "BEGIN; ALTER TABLE slow DROP COLUMN a; ALTER TABLE slow RENAME COLUMN b TO a; COMMIT",
    "CREATE RULE shield AS ON DELETE TO slow DO INSTEAD NOTHING",
], ids=["rename_age", "swap_columns", "to_timestamp", "to_date", "to_text", "drop_age", "replace_age", "delete_rule"])
def test_change_that_breaks_the_policy(slow, change):
    """Never rebound silently: the run ends, and the policy is broken until somebody looks."""
    run_id = slow.start()
    for statement in change.split("; "):
        slow.cleanup.sql(statement)
    slow.set_pace(0)  # whoever goes on wrongly does so fast
    row = slow.check_ended(run_id, ENDED_EARLY)
    assert row.status == "failed", row
    again = attempt(slow.cleanup, "SELECT status, rows FROM cleanup_run('slow')")
    assert isinstance(again, psycopg2.Error) or again == [("failed", 0)], again
    slow.check_young()


@pytest.mark.parametrize("change", [
    "ALTER TABLE slow ADD COLUMN more int DEFAULT 7",
    "ALTER TABLE slow ADD COLUMN rewritten float8 DEFAULT random()",
    "ALTER TABLE slow DROP COLUMN filler",
    "ALTER TABLE slow ALTER COLUMN filler TYPE varchar(60)",
    "ALTER TABLE slow ALTER COLUMN id TYPE bigint",
    "CREATE INDEX ON slow (a)",
    "CREATE INDEX CONCURRENTLY ON slow (a)",
    "ALTER TABLE slow SET (fillfactor = 70)",
    "ALTER TABLE slow DROP CONSTRAINT slow_pkey",
    "ANALYZE slow",
    "VACUUM slow",
    "VACUUM FULL slow",
    "CLUSTER slow USING slow_pkey",
    "REINDEX TABLE CONCURRENTLY slow",
    "ALTER TABLE slow SET UNLOGGED",
    "ALTER TABLE slow REPLICA IDENTITY FULL",
], ids=lambda change: change.lower().replace("alter table slow ", "").replace(" ", "_")[:30])
def test_change_that_does_not_concern_the_policy(slow, change):
    run_id = slow.start()
    slow.set_pace(0.0002)
    slow.cleanup.sql(change)
    slow.set_pace(0)
    row = slow.cleanup.wait_for_run(run_id)
    slow.cleanup.wait_for_no_workers()
    slow.check_counters(run_id)
    # Also where the table was rewritten, and the rows are elsewhere than they were.
    assert row.status == "succeeded", (row, slow.cleanup.targets(run_id))
    assert slow.left() == slow.young
    slow.check_next_run_finishes()


def test_rename_table(slow):
    """A renamed table keeps its policy."""
    run_id = slow.start()
    slow.set_pace(0.0002)
    slow.cleanup.sql("ALTER TABLE slow RENAME TO quick")
    slow.set_pace(0)
    row = slow.check_ended(run_id, ("succeeded", "failed", "cancelled"), table="quick")
    assert slow.cleanup.value("SELECT target::text FROM cleanup_policies WHERE policy = 'slow'") in ("quick", "public.quick")
    if row.status != "succeeded":
        slow.check_next_run_finishes(table="quick")


def test_another_table_under_the_name(slow):
    """A table that takes the name is not the policy's table."""
    run_id = slow.start()
    slow.cleanup.sql("CREATE TABLE impostor (LIKE slow INCLUDING ALL)")
    slow.cleanup.sql("INSERT INTO impostor SELECT * FROM slow")
    held = slow.cleanup.value("SELECT count(*) FROM impostor")
    slow.cleanup.sql("BEGIN")
    slow.cleanup.sql("ALTER TABLE slow RENAME TO renamed")
    slow.cleanup.sql("ALTER TABLE impostor RENAME TO slow")
    slow.cleanup.sql("COMMIT")
    slow.set_pace(0)
    slow.check_ended(run_id, table="renamed")
    slow.cleanup.run("slow")
    assert slow.cleanup.value("SELECT count(*) FROM slow") == held


def test_owner_changes(own_server):
    """The run ends when its owner is not the table's any more, before code of the new one runs with the old one's rights."""
    own_server.sql("CREATE ROLE new_owner; CREATE TABLE witness (who text); GRANT INSERT ON witness TO new_owner;"
                   " GRANT USAGE, CREATE ON SCHEMA public TO new_owner")
    slow = SlowRun(own_server)
    run_id = slow.start()
    slow.cleanup.sql("ALTER TABLE pace OWNER TO new_owner")
    slow.cleanup.sql("ALTER TABLE slow OWNER TO new_owner")
    slow.cleanup.sql("""
        SET ROLE new_owner;
        CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN INSERT INTO public.witness VALUES (current_user); RETURN OLD; END';
        CREATE TRIGGER bear_witness BEFORE DELETE ON slow FOR EACH ROW EXECUTE FUNCTION bear_witness();
        RESET ROLE""")
    slow.set_pace(0)
    row = slow.check_ended(run_id)
    assert row.status == "failed", row
    assert "another owner" in slow.cleanup.targets(run_id)[0].message
    slow.check_next_run_finishes()
    assert slow.cleanup.rows("SELECT DISTINCT who FROM witness") == [("new_owner",)]


@pytest.mark.parametrize("action", ["delete", "archive"])
def test_schema_gets_another_name(shared_server, db, action):
    """Another schema gets its name, with a table like the target in it: the policy's is the one that it was."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql("""
        CREATE SCHEMA app; CREATE SCHEMA next;
        CREATE TABLE app.events (id int PRIMARY KEY, at timestamptz); CREATE TABLE next.events (LIKE app.events INCLUDING ALL);
        INSERT INTO app.events SELECT n, now() - interval '60 days' FROM generate_series(1, 20000) n;
        INSERT INTO next.events SELECT * FROM app.events;
        CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF OLD.id = 10000 THEN PERFORM pg_advisory_xact_lock_shared(78); END IF; RETURN OLD; END $$;
        CREATE TRIGGER gate BEFORE DELETE ON app.events FOR EACH ROW EXECUTE FUNCTION gate()""")
    cleanup.add_policy("events", "app.events", "at", "30 days", action=action, batch_size=1000)
    cleanup.sql("SELECT pg_advisory_lock(78)")
    run_id = cleanup.start("events")
    cleanup.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 78 AND NOT granted")
    cleanup.sql("ALTER SCHEMA app RENAME TO before; ALTER SCHEMA next RENAME TO app")
    cleanup.sql("SELECT pg_advisory_unlock(78)")
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    assert cleanup.value("SELECT count(*) FROM app.events") == 20000
    assert cleanup.value("SELECT count(*) FROM before.events") == 0
    cleanup.close()


@pytest.mark.parametrize("change", [
    "UPDATE cleanup_policies SET enabled = false WHERE policy = 'slow'",
    "UPDATE cleanup_policies SET retain = '90 days' WHERE policy = 'slow'",
    "UPDATE cleanup_policies SET condition = 'id % 2 = 0' WHERE policy = 'slow'",
    "SELECT cleanup_alter_policy('slow', enabled => false)",
    "SELECT cleanup_alter_policy('slow', retain => '90 days')",
    "DELETE FROM cleanup_policies WHERE policy = 'slow'",
    "SELECT cleanup_drop_policy('slow')",
    "SELECT cleanup_pause('stop it')",
], ids=["disable", "retain", "condition", "alter_disable", "alter_retain", "delete", "drop", "pause"])
def test_policy_changes(slow, change):
    """The run ends at its next batch."""
    run_id = slow.start()
    slow.cleanup.sql(change)
    at_change = slow.counted(run_id)
    row = slow.check_ended(run_id, ENDED_EARLY)
    # The batch that was under way, and one that began before the change was seen.
    assert slow.counted(run_id) <= at_change + 3 * 20, (at_change, slow.counted(run_id))
    assert slow.left() > slow.young, row


def test_description_changes(slow):
    """What does not change which rows go may end the run or not, but tells the truth."""
    run_id = slow.start()
    slow.cleanup.sql("UPDATE cleanup_policies SET description = 'slow one' WHERE policy = 'slow'")
    slow.set_pace(0)
    row = slow.check_ended(run_id)
    assert row.status == "succeeded" or slow.left() > slow.young
    slow.check_next_run_finishes()


@pytest.mark.parametrize("change", ["VACUUM FULL", "CLUSTER", "REINDEX TABLE"])
def test_books_are_rewritten(slow, change):
    """The run finds its own record again, and no other."""
    for _ in range(3):
        slow.cleanup.run("slow", max_rows=1)
    run_id = slow.start()
    index = {"CLUSTER": " USING cleanup_run_targets_policy"}.get(change, "")
    slow.cleanup.sql(f"{change} cleanup_run_targets{index}")
    slow.set_pace(0)
    slow.cleanup.wait_for_run(run_id)
    assert slow.counted(run_id) == slow.due - 3
    assert slow.cleanup.run_row(run_id).status == "succeeded"
    assert slow.cleanup.value("SELECT count(*) FROM cleanup_run_targets WHERE rows = 1 AND status = 'partial'") == 3
