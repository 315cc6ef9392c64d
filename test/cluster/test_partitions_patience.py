"""What happens while a partition is read or waited for: who must stop the run, or needs the table, gets his way."""

import pytest

from partition_days import audited, make_days, partitions
from surface import Background, Cleanup
from test_partitions_concurrently import worker_waits


@pytest.fixture
def cleanup(new_server):
    """Whose runs wait for a lock as long as a test takes."""
    server = new_server({"deadlock_timeout": "200s", "pg_cleanup.lock_timeout": "60s"})
    server.sql("CREATE EXTENSION pg_cleanup")
    made = Cleanup(server, "postgres")
    made.sql("LOAD 'pg_cleanup'")
    yield made
    made.close()


class Vacuum:
    """Holds the lock that a VACUUM holds; everybody reads and writes."""

    def __init__(self, cleanup, table):
        self.connection = cleanup.connect(autocommit=False)
        with self.connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")

    def end(self):
        self.connection.rollback()
        self.connection.close()


@pytest.mark.parametrize("order", [
    "SELECT cleanup_pause('stop')", "SELECT cleanup_alter_policy('log', retain => '100 days')",
    "UPDATE cleanup_policies SET enabled = false", "SELECT cleanup_drop_policy('log')"])
def test_orders_that_come_meanwhile(cleanup, order):
    """What is said while a partition is read, or waited for, still holds for that partition."""
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days")
    before, vacuum = partitions(cleanup), Vacuum(cleanup, "log_10")
    run_id = cleanup.start("log")
    worker_waits(cleanup)
    cleanup.sql(order)
    vacuum.end()
    assert cleanup.wait_for_run(run_id).status == "cancelled"
    assert partitions(cleanup) == before and not audited(cleanup, run_id)


@pytest.mark.parametrize("where", ["the same partition", "one that goes with it"])
def test_who_needs_the_table_does_not_wait_for_the_reading(cleanup, where):
    """A change of the definition waits for our lock, and everybody behind it: so the reading stops, and starts again later."""
    cleanup.sql("CREATE TABLE log (id int, k int, at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    cleanup.sql("CREATE TABLE log_old PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (k)")
    cleanup.sql("CREATE TABLE log_old_1 PARTITION OF log_old FOR VALUES IN (1); CREATE TABLE log_old_2 PARTITION OF log_old FOR VALUES IN (2)")
    cleanup.sql("CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2021-01-01') TO (MAXVALUE)")
    cleanup.sql("INSERT INTO log SELECT n, 1 + n % 2, '2020-05-05' FROM generate_series(1, 1000) n")
    cleanup.add_policy("log", "log", "at", "5 days")
    vacuum = Vacuum(cleanup, "log_old_2")
    run_id = cleanup.start("log")
    worker_waits(cleanup)  # with the locks of log_old and log_old_1
    needed = "log_old_1" if where == "the same partition" else "log_old"
    definition = cleanup.connect()
    needs = Background(lock_and_count, definition, needed)
    cleanup.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')")
    vacuum.end()
    assert needs.result() == (500 if needed == "log_old_1" else 1000)
    definition.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    assert audited(cleanup, run_id) == {"public.log_old": 1000}


def test_an_event_trigger_that_takes_long(shared_server, db):
    """It runs under locks that every session of the table waits for: it has as long as these may be held."""
    cleanup = Cleanup(shared_server, db)
    make_days(cleanup, days=7)
    cleanup.add_policy("log", "log", "at", "5 days")
    cleanup.sql("CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); END'")
    cleanup.sql("CREATE EVENT TRIGGER slow ON sql_drop EXECUTE FUNCTION slow()")
    try:
        run_id = cleanup.start("log")
        cleanup.sql("SET lock_timeout = '5s'")
        while cleanup.run_row(run_id).status == "running":
            cleanup.sql("INSERT INTO log VALUES (0, now(), '')")
    finally:
        cleanup.sql("DROP EVENT TRIGGER slow")
    assert cleanup.run_row(run_id).status == "succeeded"
    assert "1 partition was emptied row by row: to remove it took longer than others may wait" in cleanup.targets(run_id)[0].message
    assert "log_7" in partitions(cleanup)
    cleanup.close()


def test_a_foreign_table_that_comes_meanwhile(shared_server, db):
    """Below a partition that goes as a whole: nobody has counted what it stands for."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql("CREATE FOREIGN DATA WRAPPER none; CREATE SERVER elsewhere FOREIGN DATA WRAPPER none")
    cleanup.sql("CREATE TABLE log (id int, k int, at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    cleanup.sql("CREATE TABLE log_old PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (k)")
    cleanup.sql("CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2021-01-01') TO (MAXVALUE)")
    cleanup.sql("CREATE TABLE log_old_0 PARTITION OF log_old FOR VALUES IN (0)")
    cleanup.sql("INSERT INTO log SELECT n, 0, '2020-05-05' FROM generate_series(1, 100) n")
    cleanup.add_policy("log", "log", "at", "5 days")
    reader = cleanup.connect(autocommit=False)
    with reader.cursor() as reading:
        reading.execute("SELECT count(*) FROM log_old_0")
        run_id = cleanup.start("log")
        worker_waits(cleanup)
        cleanup.sql("CREATE FOREIGN TABLE log_foreign PARTITION OF log_old FOR VALUES IN (1) SERVER elsewhere")
    reader.rollback()
    reader.close()
    assert cleanup.wait_for_run(run_id).status == "failed"
    assert "its partition public.log_foreign cannot be worked on: It is a foreign table." in cleanup.targets(run_id)[0].message
    assert partitions(cleanup, "log_old") == {"log_old_0", "log_foreign"} and not audited(cleanup, run_id)
    cleanup.close()


def lock_and_count(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]
