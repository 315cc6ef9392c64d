"""Partitions go as a whole while others use the table: nobody waits for long, and every row is counted."""

import os
import random
import signal
import threading

import psycopg2
import pytest

from partition_days import audited, day_partition, make_days, partitions
from pgserver import SOAK
from surface import Background, Cleanup
from test_kill_worker import wait_for_crash, worker_pid
from slow_run import SlowRun

BUSY_SECONDS = 5


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def worker_waits(cleanup):
    """Waits until the worker was seen to wait for a lock."""
    cleanup.wait_until("SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                       " WHERE NOT l.granted AND a.backend_type = 'pg_cleanup worker')")


def test_a_reader_that_stays(cleanup):
    """A transaction that has read the table and goes on: writers get through all the same, and the rows go one by one."""
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days")
    before = partitions(cleanup)
    reader = cleanup.connect(autocommit=False)
    writer = cleanup.connect()
    with reader.cursor() as reading, writer.cursor() as writing:
        reading.execute("SELECT count(*) FROM log")
        run_id = cleanup.start("log")
        # Many times what the run may make anybody wait: whoever is behind a lock that waits for the reader fails.
        writing.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        worker_waits(cleanup)
        written = 0
        while cleanup.run_row(run_id).status == "running":
            writing.execute("INSERT INTO log VALUES (0, now(), 'new')")
            written += 1
        reading.execute("SELECT count(*) FROM log")
        seen = reading.fetchone()[0]
    reader.rollback()
    reader.close()
    writer.close()
    row, (target,) = cleanup.run_row(run_id), cleanup.targets(run_id)
    assert row.status == "succeeded", row
    assert "4 partitions were emptied row by row: another session kept a lock on it, or on its table" in target.message
    assert partitions(cleanup) == before and not audited(cleanup, run_id)
    assert written > 0 and seen == 1000 - target.rows + written
    # Now that it is gone, so are the partitions.
    done = cleanup.run("log")
    assert (done.rows, set(audited(cleanup, done.run_id))) == (0, {f"public.log_{n}" for n in (7, 8, 9, 10)})


@pytest.mark.parametrize("how", ["drop", "detach"])
@pytest.mark.parametrize("vacuumed", [True, False], ids=["vacuumed", "not_vacuumed"])
def test_writers_of_the_last_moment(cleanup, how, vacuumed):
    """What was written to the partition while the run waited for it is counted, and what was moved out stays."""
    make_days(cleanup)
    if vacuumed:
        cleanup.sql("VACUUM (FREEZE) log")
    cleanup.add_policy("log", "log", "at", "5 days", partitions=how)
    writer = cleanup.connect(autocommit=False)
    with writer.cursor() as writing:
        writing.execute("INSERT INTO log SELECT -n, at, 'late' FROM log_10, generate_series(1, 3) n WHERE at = (SELECT min(at) FROM log) AND id = 9")
        run_id = cleanup.start("log")
        worker_waits(cleanup)
        writing.execute("DELETE FROM log_10 WHERE id IN (19, 29)")
        writing.execute("UPDATE log SET at = now() WHERE id = 39 RETURNING id")
        assert writing.rowcount == 1
        writing.execute("SAVEPOINT s")
        writing.execute("INSERT INTO log_10 SELECT 0, at, 'never' FROM log_10")
        writing.execute("ROLLBACK TO s")
        writing.execute("UPDATE log SET filler = 'touched' WHERE id IN (49, 59, 69)")
    writer.commit()
    writer.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    went = audited(cleanup, run_id)
    assert went == {"public.log_7": 100, "public.log_8": 100, "public.log_9": 100, "public.log_10": 100 + 3 - 2 - 1}
    assert cleanup.value("SELECT count(*) FROM log WHERE id = 39") == 1
    if how == "detach":
        assert cleanup.value("SELECT count(*) FROM log_10") == went["public.log_10"]


def test_a_row_that_stays_comes_at_the_last_moment(cleanup):
    """Below MINVALUE there can be ages that never go: one that comes while the run waits keeps the partition."""
    make_days(cleanup)
    cleanup.sql("CREATE TABLE log_ancient PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2020-01-01')")
    cleanup.sql("INSERT INTO log SELECT n, '2019-05-05', '' FROM generate_series(1, 10) n")
    cleanup.add_policy("log", "log", "at", "5 days")
    writer = cleanup.connect(autocommit=False)
    with writer.cursor() as writing:
        writing.execute("INSERT INTO log_ancient VALUES (-1, '-infinity', 'stays')")
        run_id = cleanup.start("log")
        worker_waits(cleanup)
    writer.commit()
    writer.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    assert "1 partition was emptied row by row: it has rows that stay" in cleanup.targets(run_id)[0].message
    assert cleanup.rows("SELECT id FROM log_ancient") == [(-1,)]
    assert "log_10" not in partitions(cleanup)


def test_a_row_that_stays_comes_while_the_partition_is_read(cleanup):
    """Committed after the rows were asked whether one stays, but before the locks are asked for: it is not missed."""
    cleanup.sql("CREATE TABLE log (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    cleanup.sql("CREATE TABLE log_ancient PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2020-01-01')")
    cleanup.sql("CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)")
    cleanup.sql("INSERT INTO log SELECT n, '2019-05-05' FROM generate_series(1, 1000000) n")
    cleanup.add_policy("log", "log", "at", "5 days")
    run_id = cleanup.start("log")
    reading = ("SELECT pid FROM pg_locks WHERE relation = 'log_ancient'::regclass AND granted AND mode = 'ShareUpdateExclusiveLock'")
    while (pid := cleanup.value(reading)) is None:
        assert cleanup.run_row(run_id).status == "running"
    os.kill(pid, signal.SIGSTOP)
    inserting = cleanup.connect()
    comes = Background(inserting.cursor().execute, "SET lock_timeout = '1s'; INSERT INTO log VALUES (-1, '-infinity')")
    comes.join(2)  # it may have been stopped with a latch on the very block, which no timeout ends
    os.kill(pid, signal.SIGCONT)
    comes_too_late = False
    try:
        comes.result()
    except (psycopg2.errors.LockNotAvailable, psycopg2.errors.CheckViolation):
        comes_too_late = True  # the worker had every lock already
    inserting.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    assert cleanup.rows("SELECT id FROM log") == ([] if comes_too_late else [(-1,)])


def test_ancient_partition(cleanup):
    """Without such rows it goes like any other."""
    make_days(cleanup)
    cleanup.sql("CREATE TABLE log_ancient PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2020-01-01')")
    cleanup.sql("INSERT INTO log SELECT n, '2019-05-05', '' FROM generate_series(1, 10) n")
    cleanup.add_policy("log", "log", "at", "5 days")
    assert audited(cleanup, cleanup.run("log").run_id)["public.log_ancient"] == 10


def test_definitions_that_others_change(cleanup):
    """Partitions that are dropped, detached or made while the run is busy with another one."""
    make_days(cleanup, days=14)
    cleanup.add_policy("log", "log", "at", "5 days")
    reader = cleanup.connect(autocommit=False)
    with reader.cursor() as reading:
        reading.execute("SELECT count(*) FROM log_14")
        run_id = cleanup.start("log")
        worker_waits(cleanup)
        cleanup.sql("DROP TABLE log_9")
        cleanup.sql("ALTER TABLE log DETACH PARTITION log_10")
        cleanup.sql("CREATE VIEW v AS SELECT * FROM log_11")
        cleanup.sql("ALTER TABLE log_12 RENAME TO renamed; CREATE TABLE log_12 AS SELECT 1 AS keep")
        cleanup.sql(day_partition(cleanup, "log", 20))
    reader.rollback()
    reader.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded", cleanup.targets(run_id)[0].message
    message = cleanup.targets(run_id)[0].message
    assert "2 partitions were detached or dropped during the run, and left alone" in message
    assert "1 partition was emptied row by row: public.v depends on it" in message
    assert cleanup.value("SELECT count(*) FROM log_10") == 100, "detached to be kept"
    assert cleanup.value("SELECT keep FROM log_12") == 1, "another table of that name"
    assert set(audited(cleanup, run_id)) == {f"public.{name}" for name in ("log_7", "log_8", "renamed", "log_13", "log_14")}
    assert "log_21" in partitions(cleanup)


@pytest.mark.parametrize("how", ["drop", "rows"])
def test_a_partition_that_stays_locked(cleanup, how):
    """The run does not wait for ever, and keeps nobody waiting meanwhile who needs the other partitions."""
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days", partitions=how)
    other = cleanup.connect(autocommit=False)
    with other.cursor() as locking:
        locking.execute("LOCK TABLE log_9 IN ACCESS EXCLUSIVE MODE")
        run_id = cleanup.start("log")
        assert cleanup.wait_for_run(run_id).status == "partial"
        assert cleanup.targets(run_id)[0].message == "stopped: table public.log stayed locked"
        locking.execute("SET lock_timeout = '5s'; LOCK TABLE log_10, log_8 IN ACCESS EXCLUSIVE MODE")
    other.rollback()
    other.close()
    assert cleanup.run("log").status == "succeeded"


def test_a_partition_that_is_locked_for_a_while(cleanup):
    """Longer than the run waits for a lock at a time."""
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days")
    waits = "SELECT virtualtransaction FROM pg_locks WHERE NOT granted AND relation = 'log_9'::regclass"
    other = cleanup.connect(autocommit=False)
    with other.cursor() as locking:
        locking.execute("LOCK TABLE log_9 IN ACCESS EXCLUSIVE MODE")
        run_id = cleanup.start("log")
        worker_waits(cleanup)
        cleanup.wait_until(f"SELECT ({waits}) <> '{cleanup.value(waits)}' OR (SELECT status <> 'running' FROM cleanup_runs WHERE run_id = {run_id})")
    other.rollback()
    other.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    assert len(audited(cleanup, run_id)) == 4


def test_a_part_of_a_partition_is_detached(cleanup):
    """Of a partition that is split further and goes row by row: the other parts are done all the same."""
    cleanup.sql("CREATE TABLE log (id int, k int, at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    cleanup.sql("CREATE TABLE log_old PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (k)")
    cleanup.sql("CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2021-01-01') TO (MAXVALUE)")
    for n in range(3):
        cleanup.sql(f"CREATE TABLE log_old_{n} PARTITION OF log_old FOR VALUES IN ({n})")
    cleanup.sql("INSERT INTO log SELECT n, n % 3, '2020-05-05' FROM generate_series(1, 300) n")
    cleanup.add_policy("log", "log", "at", "5 days")
    reader = cleanup.connect(autocommit=False)
    with reader.cursor() as reading:
        reading.execute("SELECT count(*) FROM log_old_2")
        run_id = cleanup.start("log")
        worker_waits(cleanup)
        cleanup.sql("ALTER TABLE log_old DETACH PARTITION log_old_0")
        assert cleanup.wait_for_run(run_id).status == "succeeded"
    reader.rollback()
    reader.close()
    assert "1 partition was detached or dropped during the run, and left alone" in cleanup.targets(run_id)[0].message
    assert cleanup.value("SELECT count(*) FROM log") == 0 and cleanup.value("SELECT count(*) FROM log_old_0") == 100

@pytest.mark.parametrize("how", ["drop", "detach"])
def test_foreign_keys_of_the_partitions(cleanup, how):
    """Dropping leaves the tables alone that the partitions reference; detaching needs a lock on them, and gives way."""
    cleanup.sql("CREATE TABLE kind (id int PRIMARY KEY); INSERT INTO kind SELECT generate_series(0, 3)")
    make_days(cleanup, days=7, columns=", kind int DEFAULT 1 REFERENCES kind")
    cleanup.add_policy("log", "log", "at", "5 days", partitions=how)
    writer = cleanup.connect(autocommit=False)
    with writer.cursor() as writing:
        writing.execute("INSERT INTO kind VALUES (9)")
        run_id = cleanup.start("log")
        if how == "detach":
            worker_waits(cleanup)
            other = cleanup.connect()
            with other.cursor() as inserting:
                inserting.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'; INSERT INTO log VALUES (0, now(), '', 2)")
            other.close()
        else:
            assert cleanup.wait_for_run(run_id).status == "succeeded"
            assert set(audited(cleanup, run_id)) == {"public.log_7"}, cleanup.targets(run_id)
    writer.commit()
    writer.close()
    assert cleanup.wait_for_run(run_id).status == "succeeded"
    assert set(audited(cleanup, run_id)) == {"public.log_7"}
    assert cleanup.value("SELECT count(*) FROM pg_constraint WHERE confrelid = 'kind'::regclass AND conrelid = 'log'::regclass") == 1
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        cleanup.sql("DELETE FROM kind WHERE id = 1")


class Application(threading.Thread):
    """Inserts, renews and deletes rows of any age; remembers how many due rows it made and took away."""

    def __init__(self, cleanup, number, seed):
        super().__init__(daemon=True)
        self.connection = cleanup.connect(autocommit=False, application_name=f"app {number}")
        self.random = random.Random(f"{seed}/{number}")
        self.number, self.balance, self.transactions, self.errors = number, 0, 0, []
        self.stopping = threading.Event()

    def run(self):
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
            self.connection.commit()
            while not self.stopping.is_set() and len(self.errors) < 3:
                try:
                    change = self._transaction(cursor)
                    self.connection.commit()
                    self.balance += change
                    self.transactions += 1
                except psycopg2.errors.CheckViolation:
                    self.connection.rollback()  # its partition is gone
                except Exception as error:  # pylint: disable=broad-except
                    self.errors.append(error)
                    self.connection.rollback()
        self.connection.close()

    def _transaction(self, cursor):
        days = self.random.randint(7, 28)
        what = self.random.choice(["insert", "insert", "renew", "delete", "young"])
        if what == "young":
            cursor.execute("INSERT INTO log VALUES (%s, now(), 'young')", [self.number])
            return 0
        if what == "insert":
            cursor.execute("INSERT INTO log VALUES (%s, date_trunc('day', now()) - %s * interval '1 day' + interval '2 hours', 'late')", [self.number, days])
            return 1
        where = ("WHERE id = (SELECT id FROM log WHERE id %% 4 = %s AND id > 100 AND at >= date_trunc('day', now()) - %s * interval '1 day'"
                 " AND at < date_trunc('day', now()) - %s * interval '1 day' LIMIT 1) AND at < now() - interval '6 days'")
        cursor.execute(("UPDATE log SET at = now() " if what == "renew" else "DELETE FROM log ") + where, [self.number, days, days - 1])
        return -cursor.rowcount


def test_every_row_is_counted_under_traffic(cleanup, seed):
    make_days(cleanup, days=30, rows=300)
    cleanup.sql("CREATE TABLE log_default PARTITION OF log DEFAULT")
    cleanup.sql("VACUUM log")
    cleanup.add_policy("log", "log", "at", "5 days")
    sessions = [Application(cleanup, number, seed) for number in range(4)]
    due = cleanup.value("SELECT count(*) FROM log WHERE at < now() - interval '5 days'")
    for session in sessions:
        session.start()
    while sum(session.transactions for session in sessions) < 20 and not any(session.errors for session in sessions):
        cleanup.value("SELECT count(*) FROM log")
    done = cleanup.run("log")
    for session in sessions:
        session.stopping.set()
        session.join(60)
        assert not session.is_alive()
    assert [error for session in sessions for error in session.errors] == []
    assert done.status in ("succeeded", "partial"), done
    left = cleanup.value("SELECT count(*) FROM log WHERE at < now() - interval '5 days'")
    made = sum(session.balance for session in sessions)
    print(f"{done}, {due} due, {made} made, {left} left, {[session.transactions for session in sessions]} transactions")
    assert done.rows == due + made - left
    assert len(audited(cleanup, done.run_id)) > 0
    assert cleanup.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


KILLS = 30 if SOAK else 3


def test_kill9(own_server, seed):
    """Killed in the middle: a partition and its rows are gone and counted, or neither."""
    chance = random.Random(seed)
    cleanup = Cleanup(own_server, "postgres")
    slow = SlowRun.__new__(SlowRun)
    slow.cleanup = cleanup
    for number in range(KILLS):
        table = f"log{number}"
        make_days(cleanup, table, days=60, rows=20)
        cleanup.add_policy(table, table, "at", "5 days", partitions=chance.choice(["drop", "detach"]))
        before = partitions(cleanup, table)
        run_id = cleanup.start(table)
        cleanup.wait_for_rows(run_id, chance.randrange(1, 800))
        pid = worker_pid(slow, "pg_cleanup worker")
        connection = cleanup.connection
        if pid is not None:
            try:
                own_server.kill9(pid)
                wait_for_crash(connection)
                own_server.wait_until_ready()
            except (FileNotFoundError, ProcessLookupError):
                cleanup.wait_for_run(run_id)
        # Batches commit asynchronously: a crash may undo the first as well, with the row that counts it.
        counted = cleanup.value("SELECT coalesce(sum(rows), 0)::int FROM cleanup_run_targets WHERE run_id = %s", [run_id])
        left, went = cleanup.value(f"SELECT count(*) FROM {table}"), audited(cleanup, run_id)
        assert counted == 60 * 20 - left
        assert {name.removeprefix("public.") for name in went} == before - partitions(cleanup, table)
        assert sum(went.values()) <= counted
        done = cleanup.run(table)
        assert (done.status, done.rows + counted) in (("succeeded", 54 * 20), ("succeeded", 55 * 20)), done
    cleanup.close()
