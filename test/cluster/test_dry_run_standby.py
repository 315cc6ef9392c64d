"""Dry run and preview where nothing can be written, and how they end early."""

import psycopg2
import pytest

from surface import Background, Cleanup


def due_rows(rows):
    return f"""
CREATE TABLE event (id int PRIMARY KEY, at timestamptz);
CREATE TABLE detail (id int, event_id int REFERENCES event ON DELETE CASCADE);
INSERT INTO event SELECT g, now() - interval '40 days' FROM generate_series(1, {rows}) g;
INSERT INTO detail SELECT g, g FROM generate_series(1, {rows}) g;
CREATE INDEX ON detail (event_id);
SELECT cleanup_add_policy('old', 'event', 'at', '30 days');
"""


@pytest.fixture
def slow(shared_server, db):
    """A database whose policy takes for ever: its condition waits for a lock that `holder` has."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql(due_rows(3))
    cleanup.sql("CREATE FUNCTION wait_long(int) RETURNS boolean LANGUAGE plpgsql STABLE AS"
                " $$ BEGIN PERFORM pg_sleep(600); RETURN true; END $$")
    cleanup.alter_policy("old", condition="wait_long(id)")
    yield cleanup
    cleanup.close()


def test_standby(new_server):
    primary = new_server()
    primary.sql("CREATE EXTENSION pg_cleanup")
    primary.sql("CREATE ROLE no_login NOLOGIN; CREATE TABLE theirs (at timestamptz); ALTER TABLE theirs OWNER TO no_login;"
                "INSERT INTO theirs VALUES (now() - interval '1 year'); SELECT cleanup_add_policy('theirs', 'theirs', 'at', '1 day')")
    primary.psql(due_rows(100))
    here = Cleanup(primary, "postgres")
    standby = new_server.adopt(primary.standby())
    standby.poll_until("SELECT count(*) FROM cleanup_policies", 2)
    there = Cleanup(standby, "postgres")
    assert there.value("SELECT pg_is_in_recovery()")
    expected = {row.policy: row for row in here.dry_runs()}
    seen = {row.policy: row for row in there.dry_runs()}
    for policy in ("old", "theirs"):
        for column in ("eligible_rows", "blocked_rows", "dependent_rows", "row_bytes", "strategy", "oldest", "warnings"):
            assert getattr(seen[policy], column) == getattr(expected[policy], column), (policy, column)
    assert seen["old"].eligible_rows == seen["old"].dependent_rows == 100
    assert len(there.preview("old", rows=7)) == 7
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        there.run("old")
    here.close()
    there.close()


def test_read_only_session(shared_server, db):
    cleanup = Cleanup(shared_server, db)
    cleanup.sql(due_rows(3))
    cleanup.sql("SET default_transaction_read_only = on")
    assert cleanup.dry_run("old").eligible_rows == 3
    cleanup.close()


def test_writing_condition_cannot_write(shared_server, db):
    """A function that lies about its volatility finds a read-only transaction."""
    cleanup = Cleanup(shared_server, db)
    cleanup.sql(due_rows(3))
    cleanup.sql("CREATE TABLE noted (id int);"
                "CREATE FUNCTION note(n int) RETURNS boolean LANGUAGE plpgsql STABLE AS"
                " $$ BEGIN EXECUTE 'INSERT INTO noted VALUES (1)'; RETURN true; END $$")
    cleanup.alter_policy("old", condition="note(id)")
    with pytest.raises(psycopg2.Error):
        cleanup.dry_run("old")
    assert cleanup.value("SELECT count(*) FROM noted") == 0
    cleanup.close()


def test_cancel_ends_the_worker(slow):
    call = Background(slow.dry_run, "old")
    slow2 = Cleanup(slow.server, slow.dbname)
    slow2.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type LIKE 'pg_cleanup%')")
    slow2.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%%cleanup_dry_run%%'"
              " AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        call.result()
    slow2.wait_for_no_workers()
    slow2.close()


def test_statement_timeout_ends_the_worker(slow):
    slow.sql("SET statement_timeout = 1000")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        slow.preview("old")
    slow.sql("SET statement_timeout = 0")
    slow.wait_for_no_workers()


def test_disconnect_ends_the_worker(slow):
    def call():
        try:
            slow.dry_run("old")
        except psycopg2.Error:
            return "gone"

    running = Background(call)
    other = Cleanup(slow.server, slow.dbname)
    other.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type LIKE 'pg_cleanup%')")
    other.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%%cleanup_dry_run%%'"
              " AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
    assert running.result() == "gone"
    other.wait_for_no_workers()
    other.close()


def test_lock_on_the_target_is_not_waited_for_long(shared_server, db):
    cleanup = Cleanup(shared_server, db)
    cleanup.sql(due_rows(3))
    holder = cleanup.connect(autocommit=False)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            cleanup.dry_run("old")
    holder.rollback()
    holder.close()
    assert cleanup.dry_run("old").eligible_rows == 3
    cleanup.close()


def test_dropping_the_extension_waits_for_no_caller(slow):
    call = Background(slow.dry_run, "old")
    other = Cleanup(slow.server, slow.dbname)
    other.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type LIKE 'pg_cleanup%')")
    locks = other.rows("SELECT l.relation::regclass::text, a.backend_type FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                       " WHERE l.locktype = 'relation' AND l.relation >= 16384 AND a.backend_type = 'client backend'"
                       " AND pid <> pg_backend_pid()")
    assert locks == []
    other.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%%cleanup_dry_run%%'"
              " AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        call.result()
    other.close()
