"""Partitions that are wholly past go as a whole, and exactly the rows go that would have gone one by one."""

import pathlib
import random

import psycopg2
import pytest

from partition_days import audited, make_days, partitions
from pgserver import SOAK
from random_partitions import RandomPartitions
from surface import Cleanup, literal
from truth import differences

SCENARIOS = pathlib.Path(__file__).resolve().parent.parent / "scenarios"
TABLES = 200 if SOAK else 12


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def survivors(cleanup, table):
    return {row.id: row.age for row in cleanup.rows(f"SELECT id, age::text FROM {table}")}


@pytest.mark.parametrize("number", range(TABLES))
def test_as_row_by_row(cleanup, seed, number):
    made = RandomPartitions(random.Random(f"{seed}/{number}"))
    print(made)
    named = {"time_zone": made.zone, **made.kind.policy_arguments}
    for table, how in (("deleted", "rows"), ("dropped", "drop"), ("detached", "detach")):
        made.make(cleanup, table, copied=None if table == "deleted" else "deleted")
        cleanup.add_policy(table, table, "age", "1 hour", partitions=how, **named)
    everything = survivors(cleanup, "deleted")
    results = {table: cleanup.run(table, **made.window) for table in ("dropped", "detached", "deleted")}
    left = survivors(cleanup, "deleted")
    for table, done in results.items():
        assert (done.status, done.rows) == ("succeeded", len(everything) - len(left)), (table, done)
        assert survivors(cleanup, table) == left, table
    zone, cutoff = literal(made.zone), f"{literal(str(made.cutoff))}::timestamptz"
    late = made.kind.must_go("age", cutoff, zone)
    if made.from_time is None:
        assert cleanup.value(f"SELECT count(*) FROM dropped WHERE {late}") == 0
    # What was detached holds what it says, and is no partition any more.
    for partition, rows in audited(cleanup, results["detached"].run_id).items():
        assert cleanup.value(f"SELECT count(*) FROM {partition}") == rows
        assert not cleanup.value("SELECT relispartition FROM pg_class WHERE oid = %s::regclass", [partition])
    for partition in audited(cleanup, results["dropped"].run_id):
        assert cleanup.value("SELECT to_regclass(%s)", [partition]) is None
    assert not audited(cleanup, results["deleted"].run_id)


def test_dry_run_run_and_record(cleanup):
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days", time_zone="UTC")
    planned = cleanup.dry_run("log")
    assert planned.strategy == "partition, block"
    assert planned.warnings == []
    done = cleanup.run("log")
    assert (done.status, done.message) == ("succeeded", None)
    # Ages are a second after midnight: what is five days old today is due unless it is that second.
    assert done.rows in (400, 500) and (done.rows, done.row_bytes) == (planned.eligible_rows, planned.row_bytes)
    assert audited(cleanup, done.run_id) == {f"public.log_{n}": 100 for n in (7, 8, 9, 10)}
    assert partitions(cleanup) == {f"log_{n}" for n in range(0, 7)}
    assert cleanup.value("SELECT count(*) FROM log") == 1000 - done.rows
    (target,) = cleanup.targets(done.run_id)
    assert (target.strategy, target.rows, target.row_bytes) == ("partition, block", done.rows, done.row_bytes)
    assert target.done_units == target.total_units
    again = cleanup.run("log")
    assert (again.status, again.rows, cleanup.targets(again.run_id)[0].strategy) == ("succeeded", 0, "block")
    assert cleanup.value("SELECT sum(rows) FROM cleanup_stats()") == done.rows


def test_detached_tables_stay(cleanup):
    cleanup.sql("CREATE ROLE partition_keeper LOGIN; CREATE SCHEMA kept AUTHORIZATION partition_keeper")
    try:
        cleanup.sql("SET ROLE partition_keeper; SET search_path = kept, public")
        make_days(cleanup)
        cleanup.sql("RESET ROLE; RESET search_path")
        cleanup.add_policy("log", "kept.log", "at", "5 days", partitions="detach")
        done = cleanup.run("log")
        assert done.status == "succeeded", done
        assert set(audited(cleanup, done.run_id)) == {f"kept.log_{n}" for n in (7, 8, 9, 10)}
        assert cleanup.value("SELECT count(*) FROM cleanup_audit WHERE event = 'partition_detached'") == 4
        for n in (7, 8, 9, 10):
            table = cleanup.row(f"SELECT relispartition, relowner::regrole::text AS owner FROM pg_class WHERE oid = 'kept.log_{n}'::regclass")
            assert (table.relispartition, table.owner) == (False, "partition_keeper")
            assert cleanup.value(f"SELECT count(*) FROM kept.log_{n}") == 100
    finally:
        cleanup.sql("RESET ROLE; DROP SCHEMA kept CASCADE; DROP ROLE partition_keeper")


@pytest.mark.parametrize("how", ["drop", "detach"])
def test_owner_who_cannot_log_in(cleanup, how):
    cleanup.sql("CREATE ROLE partition_group NOLOGIN; GRANT CREATE ON SCHEMA public TO partition_group")
    try:
        make_days(cleanup)
        for table in ("log", *partitions(cleanup)):
            cleanup.sql(f"ALTER TABLE {table} OWNER TO partition_group")
        cleanup.add_policy("log", "log", "at", "5 days", partitions=how)
        done = cleanup.run("log")
        assert (done.status, len(audited(cleanup, done.run_id))) == ("succeeded", 4), done
    finally:
        cleanup.sql("DROP OWNED BY partition_group CASCADE; DROP ROLE partition_group")


# What stands in the way: statements, the reason, and whether detaching is still possible.
OBSTACLES = {
    "row trigger": ("CREATE TRIGGER t BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION nothing()", "it has a DELETE trigger, t"),
    "statement trigger of the parent": ("CREATE TRIGGER t AFTER DELETE ON log FOR EACH STATEMENT EXECUTE FUNCTION nothing()", "it has a DELETE trigger, t"),
    "foreign key": ("ALTER TABLE log ADD PRIMARY KEY (id, at); CREATE TABLE ref (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES log)",
                    "a foreign key references it, ref_id_at_fkey of public.ref"),
    "publication": ("CREATE PUBLICATION pub FOR TABLE log", "publication pub publishes its deletes"),
    "publication of all": ("CREATE PUBLICATION pub FOR ALL TABLES", "publication pub publishes its deletes"),
    "publication of the schema": ("CREATE PUBLICATION pub FOR TABLES IN SCHEMA public", "publication pub publishes its deletes"),
    "rule": ("CREATE RULE r AS ON UPDATE TO log DO ALSO NOTHING", "it has a rule, r"),
}


@pytest.mark.parametrize("how", ["drop", "detach"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_needs_the_rows(cleanup, obstacle, how):
    make_days(cleanup, rows=20)
    cleanup.sql("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'")
    for table in partitions(cleanup):
        cleanup.sql(f"ALTER TABLE {table} REPLICA IDENTITY FULL")  # without one nothing could be deleted
    statements, reason = OBSTACLES[obstacle]
    cleanup.sql(statements)
    cleanup.add_policy("log", "log", "at", "5 days", partitions=how)
    planned = cleanup.dry_run("log")
    assert planned.strategy == "block"
    assert [text for text in planned.warnings if text.startswith("4 partitions lie wholly past the cutoff") and reason in text], planned.warnings
    before = partitions(cleanup)
    done = cleanup.run("log")
    assert done.rows == planned.eligible_rows and done.rows in (80, 100), done
    assert partitions(cleanup) == before
    assert not audited(cleanup, done.run_id)


def test_what_does_not_need_the_rows(cleanup):
    make_days(cleanup)
    cleanup.sql("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    cleanup.sql("CREATE TRIGGER i AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION nothing()")
    cleanup.sql("CREATE TRIGGER off BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION nothing(); ALTER TABLE log DISABLE TRIGGER off")
    for n in range(0, 11):
        cleanup.sql(f"ALTER TABLE log_{n} DISABLE TRIGGER off")
    cleanup.sql("CREATE PUBLICATION inserts FOR ALL TABLES WITH (publish = 'insert')")
    cleanup.sql("CREATE INDEX ON log (at); CREATE VIEW v AS SELECT * FROM log; ALTER TABLE log ADD CHECK (id > 0)")
    cleanup.sql("CREATE STATISTICS s (dependencies) ON id, at FROM log_9; ALTER TABLE log_8 SET UNLOGGED")
    cleanup.add_policy("log", "log", "at", "5 days")
    done = cleanup.run("log")
    assert (done.status, len(audited(cleanup, done.run_id))) == ("succeeded", 4), done


def test_a_view_of_one_partition(cleanup):
    """It would go with a CASCADE, which nobody asked for."""
    make_days(cleanup)
    cleanup.sql("CREATE VIEW v AS SELECT * FROM log_9")
    cleanup.add_policy("log", "log", "at", "5 days")
    assert any("v depends on it" in text for text in cleanup.dry_run("log").warnings)
    done = cleanup.run("log")
    assert set(audited(cleanup, done.run_id)) == {f"public.log_{n}" for n in (7, 8, 10)}
    assert cleanup.value("SELECT count(*) FROM v") == 0
    cleanup.alter_policy("log", partitions="detach")
    assert set(audited(cleanup, cleanup.run("log").run_id)) == {"public.log_9"}


def test_a_sequence_of_one_partition(cleanup):
    """DROP TABLE would take it along, though applications name it in their INSERTs."""
    make_days(cleanup)
    cleanup.sql("CREATE SEQUENCE ids OWNED BY log_9.id")
    cleanup.add_policy("log", "log", "at", "5 days")
    assert any("sequence public.ids would be dropped with it" in text for text in cleanup.dry_run("log").warnings)
    done = cleanup.run("log")
    assert set(audited(cleanup, done.run_id)) == {f"public.log_{n}" for n in (7, 8, 10)}
    assert cleanup.value("SELECT nextval('ids')") == 1 and cleanup.value("SELECT count(*) FROM log_9") == 0
    cleanup.alter_policy("log", partitions="detach")
    assert set(audited(cleanup, cleanup.run("log").run_id)) == {"public.log_9"}


def test_what_only_postgresql_knows_of(cleanup):
    """A dependency, or an event trigger, that the plan does not look for: the rows go one by one, and the run says why."""
    make_days(cleanup)
    cleanup.sql("CREATE FUNCTION f(log_9) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    cleanup.sql("""CREATE FUNCTION stop_log_8() RETURNS event_trigger LANGUAGE plpgsql AS $$
                   BEGIN IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_name = 'log_8')
                   THEN RAISE 'log_8 must not be dropped'; END IF; END $$""")
    cleanup.sql("CREATE EVENT TRIGGER stop_log_8 ON sql_drop EXECUTE FUNCTION stop_log_8()")
    cleanup.add_policy("log", "log", "at", "5 days")
    planned = cleanup.dry_run("log")
    done = cleanup.run("log")
    assert (done.status, done.rows) == ("succeeded", planned.eligible_rows)
    assert "1 partition was emptied row by row: cannot drop table log_9 because other objects depend on it" in done.message
    assert "1 partition was emptied row by row: log_8 must not be dropped" in done.message
    assert set(audited(cleanup, done.run_id)) == {"public.log_7", "public.log_10"}
    assert cleanup.value("SELECT count(*) FROM ONLY log_9") == cleanup.value("SELECT count(*) FROM ONLY log_8") == 0


@pytest.mark.parametrize("how", ["drop", "detach"])
def test_the_last_partition_stays(cleanup, how):
    """Without one a table takes no row, and pg_partman does not know what to make next."""
    make_days(cleanup)
    for n in range(0, 7):
        cleanup.sql(f"DROP TABLE log_{n}")
    cleanup.sql("CREATE TABLE log_default PARTITION OF log DEFAULT")
    cleanup.add_policy("log", "log", "at", "5 days", partitions=how)
    done = cleanup.run("log")
    assert (done.status, done.rows) == ("succeeded", 400), done
    assert partitions(cleanup) == {"log_7", "log_default"}
    assert cleanup.value("SELECT count(*) FROM log") == 0


def test_max_rows_cuts_a_partition(cleanup):
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days")
    done = cleanup.run("log", max_rows=250)
    assert (done.status, done.rows) == ("partial", 250), done
    assert audited(cleanup, done.run_id) == {"public.log_10": 100, "public.log_9": 100}
    assert cleanup.value("SELECT count(*) FROM log_8") == 50


def test_breaker(cleanup):
    """Counted before anything goes."""
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days", refuse_above_rows=399)
    done = cleanup.run("log")
    assert (done.status, done.rows, cleanup.value("SELECT count(*) FROM log")) == ("failed", 0, 1000), done
    assert cleanup.run("log", force=True).status == "succeeded"
    assert len(partitions(cleanup)) == 7


def test_other_reasons_for_single_rows(cleanup):
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days", condition="id % 2 = 0")
    assert cleanup.dry_run("log").strategy == "block"
    assert not audited(cleanup, cleanup.run("log").run_id)
    cleanup.alter_policy("log", clear=["condition"], partitions="rows")
    assert not audited(cleanup, cleanup.run("log").run_id)
    cleanup.add_policy("one", "log_9", "at", "100 days")  # that policy would be left without its table
    cleanup.alter_policy("log", partitions="drop")
    assert set(audited(cleanup, cleanup.run("log").run_id)) == {f"public.log_{n}" for n in (7, 8, 10)}


def test_relations_need_the_rows(cleanup):
    make_days(cleanup, columns=", file int")
    cleanup.sql("CREATE TABLE file (id int PRIMARY KEY); INSERT INTO file SELECT generate_series(1, 10)")
    cleanup.add_policy("log", "log", "at", "5 days")
    cleanup.sql("SELECT cleanup_add_relation('log', 'file', '{\"file\": \"id\"}')")
    assert any("rows of other tables go along" in text for text in cleanup.dry_run("log").warnings)
    assert cleanup.dry_run("log").strategy == "block"
    cleanup.sql("SELECT cleanup_drop_relation('log', 'file')")
    assert cleanup.dry_run("log").strategy == "partition, block"


def test_bad_input(cleanup):
    make_days(cleanup, days=3)
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="partitions 'keep' is not known"):
        cleanup.add_policy("log", "log", "at", "5 days", partitions="keep")
    cleanup.add_policy("log", "log", "at", "5 days", partitions="detach")
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="partitions 'keep' is not known"):
        cleanup.alter_policy("log", partitions="keep")
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="Use 'drop', 'detach' or 'rows'"):
        cleanup.sql("UPDATE cleanup_policies SET partitions = 'keep'")
    with pytest.raises(psycopg2.errors.NotNullViolation):
        cleanup.sql("UPDATE cleanup_policies SET partitions = NULL")
    cleanup.sql("CREATE TABLE plain AS SELECT now() - interval '9 days' AS at")
    for how in ("drop", "detach"):
        cleanup.add_policy(f"plain {how}", "plain", "at", "100 days", partitions=how)
    cleanup.alter_policy("plain detach", retain="1 day")
    assert (cleanup.run("plain detach").rows, cleanup.value("SELECT count(*) FROM plain")) == (1, 0)
    cleanup.alter_policy("log", retain="1 hour")
    cleanup.sql("CREATE ROLE partition_stranger")
    try:
        cleanup.sql("ALTER TABLE log_2 OWNER TO partition_stranger")
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match="its partition public.log_2 cannot be worked on"):
            cleanup.add_policy("other", "log", "at", "1 day", partitions="detach")
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match='policy "log" on table public.log is broken'):
            cleanup.run("log")
        assert len(partitions(cleanup)) == 4
    finally:
        cleanup.sql("ALTER TABLE log_2 OWNER TO postgres; DROP ROLE partition_stranger")


@pytest.mark.parametrize("how", ["drop", "detach", "rows"])
def test_transformation_logs_of_the_pipelines(cleanup, how):
    """Of the scenario: a partition a day, seven days are kept."""
    cleanup.server.psql(SCENARIOS / "pipelines.sql", dbname=cleanup.dbname)
    cleanup.add_policy("transformation_logs", "pipelines.transformation_log", "logged_on", "7 days", time_zone="UTC", partitions=how)
    planned = cleanup.dry_run("transformation_logs")
    assert planned.strategy == ("block" if how == "rows" else "partition")
    before = partitions(cleanup, "pipelines.transformation_log")
    done = cleanup.run("transformation_logs")
    assert (done.status, done.rows, done.row_bytes) == ("succeeded", planned.eligible_rows, planned.row_bytes)
    assert differences(cleanup, "pipelines", ["transformation_log"]) == []
    went = audited(cleanup, done.run_id)
    assert sum(went.values()) == (0 if how == "rows" else done.rows)
    assert len(before) - len(partitions(cleanup, "pipelines.transformation_log")) == len(went)
    assert (len(went) > 30) == (how != "rows")
    again = cleanup.run("transformation_logs")
    assert (again.status, again.rows) == ("succeeded", 0)
