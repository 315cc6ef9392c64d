"""What cleanup_check finds on a server that holds back the space of deleted rows, and on tables that are not cleaned enough."""

import pytest

from surface import Cleanup


def found(cleanup, check_name):
    return [(row.status, row.detail, row.hint) for row in cleanup.rows("SELECT * FROM cleanup_check()") if row.check_name == check_name]


def only(cleanup, check_name, status="warning"):
    ((found_status, detail, hint),) = found(cleanup, check_name)
    assert found_status == status, detail
    return detail, hint


@pytest.fixture
def cleanup(new_server):
    server = new_server({"max_prepared_transactions": "2"})
    server.sql("CREATE EXTENSION pg_cleanup")
    made = Cleanup(server, "postgres")
    yield made
    made.close()


def test_transactions_that_hold_space(cleanup):
    only(cleanup, "space_held", "ok")
    cleanup.sql("CREATE TABLE t (id int)")
    idle = cleanup.connect(autocommit=False)
    with idle.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
    prepared = cleanup.connect()
    with prepared.cursor() as cursor:
        cursor.execute("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'it''s mine'")
    only(cleanup, "space_held", "ok")  # both are young
    cleanup.sql("SET pg_cleanup.old_transaction = 0")
    by_detail = {detail: hint for _, detail, hint in found(cleanup, "space_held")}
    assert len(by_detail) == 2, by_detail
    (detail, hint) = next((d, h) for d, h in by_detail.items() if "idle in transaction" in d)
    assert str(idle.info.backend_pid) in detail
    cleanup.sql(hint)
    (detail, hint) = next((d, h) for d, h in by_detail.items() if "prepared transaction" in d)
    cleanup.sql(hint)
    cleanup.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", [idle.info.backend_pid])
    only(cleanup, "space_held", "ok")
    # Of other databases, and without a snapshot: not in the way here.
    cleanup.sql("CREATE DATABASE elsewhere")
    other = cleanup.server.connect("elsewhere", autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    resting = cleanup.connect(autocommit=False)
    with resting.cursor() as cursor:
        cursor.execute("SELECT 1")
    only(cleanup, "space_held", "ok")
    other.close()
    resting.close()


def test_replication_slot_that_nobody_reads(cleanup, new_server):
    """A standby that told what it needs, and went away."""
    primary = cleanup.server
    cleanup.sql("SELECT pg_create_physical_replication_slot('left_behind')")
    standby = new_server.adopt(primary.standby({"primary_slot_name": "left_behind", "hot_standby_feedback": "on",
                                                "wal_receiver_status_interval": "1"}))
    cleanup.wait_until("SELECT active AND xmin IS NOT NULL FROM pg_replication_slots")
    only(cleanup, "space_held", "ok")
    standby.stop_immediate()
    cleanup.wait_until("SELECT NOT active FROM pg_replication_slots")
    detail, hint = only(cleanup, "space_held")
    assert "left_behind is read by nobody" in detail
    cleanup.sql(hint)
    only(cleanup, "space_held", "ok")


def test_dead_rows(cleanup):
    cleanup.sql("CREATE TABLE dead (id int, at timestamptz) PARTITION BY RANGE (id)")
    cleanup.sql("CREATE TABLE dead_1 PARTITION OF dead FOR VALUES FROM (0) TO (1000000) WITH (autovacuum_enabled = off)")
    cleanup.add_policy("dead", "dead", "at", "30 days")
    only(cleanup, "dead_rows", "ok")
    cleanup.sql("INSERT INTO dead SELECT n, now() - interval '60 days' FROM generate_series(1, 20000) n")
    assert cleanup.run("dead").rows == 20000
    cleanup.wait_until("SELECT pg_stat_get_dead_tuples('dead_1'::regclass) >= 20000")
    detail, hint = only(cleanup, "dead_rows")
    assert "public.dead_1 has 20000 dead rows" in detail and "autovacuum is off" in detail
    for statement in hint.rstrip(";").split("; "):
        cleanup.sql(statement)
    cleanup.wait_until("SELECT pg_stat_get_dead_tuples('dead_1'::regclass) = 0")
    only(cleanup, "dead_rows", "ok")


def test_dead_rows_of_a_server_without_autovacuum(cleanup):
    cleanup.sql("ALTER SYSTEM SET autovacuum = off")
    cleanup.sql("SELECT pg_reload_conf()")
    cleanup.wait_until("SELECT NOT current_setting('autovacuum')::boolean")
    cleanup.sql("CREATE TABLE dead (id int, at timestamptz)")
    cleanup.add_policy("dead", "dead", "at", "30 days")
    cleanup.sql("INSERT INTO dead SELECT n, now() - interval '60 days' FROM generate_series(1, 20000) n")
    assert cleanup.run("dead").rows == 20000
    cleanup.wait_until("SELECT pg_stat_get_dead_tuples('dead'::regclass) >= 20000")
    detail, hint = only(cleanup, "dead_rows")
    assert "autovacuum is off on this server" in detail
    for statement in hint.rstrip(";").split("; "):
        cleanup.sql(statement)
    cleanup.wait_until("SELECT current_setting('autovacuum')::boolean")
    cleanup.wait_until("SELECT pg_stat_get_dead_tuples('dead'::regclass) = 0")
    only(cleanup, "dead_rows", "ok")


def test_history_that_is_kept_for_ever(cleanup):
    """Somebody has chosen that: it is told, and no reason to look for."""
    cleanup.sql("LOAD 'pg_cleanup'")
    cleanup.sql("ALTER SYSTEM SET pg_cleanup.history_retain = -1")
    cleanup.sql("SELECT pg_reload_conf()")
    cleanup.wait_until("SELECT current_setting('pg_cleanup.history_retain') = '-1'")
    detail, _ = only(cleanup, "history", "ok")
    assert "kept for ever" in detail


def test_backlog(cleanup):
    """Five runs, each later than the one before; one that catches up ends the warning."""
    cleanup.sql("CREATE TABLE t (id int, at timestamptz)")
    policy_id = cleanup.add_policy("late", "t", "at", "30 days")

    def past_run(late):
        run_id = cleanup.value("INSERT INTO cleanup_runs (trigger, requested_by, started_at, finished_at, status)"
                               " VALUES ('manual', 'postgres', now(), now(), 'partial') RETURNING run_id")
        cleanup.sql("INSERT INTO cleanup_run_targets (run_id, policy_id, policy, table_name, kind, action, status, cutoff, oldest)"
                    " VALUES (%s, %s, 'late', 'public.t', 'target', 'delete', 'partial', now(), now() - %s::interval)",
                    [run_id, policy_id, late])

    past_run("1 day")
    past_run("3 days")
    only(cleanup, "backlog", "ok")  # two are no trend
    past_run("6 days")
    detail, hint = only(cleanup, "backlog")
    assert "6.0 days late at the last run, 1.0 days late 2 runs before" in detail and "cleanup_run('late')" in hint
    past_run("2 days")
    only(cleanup, "backlog", "ok")


def test_what_others_have_is_not_shown(cleanup):
    """Checks of policies and grants are for who may see those."""
    cleanup.sql("CREATE ROLE checks_viewer LOGIN; CREATE ROLE checks_one LOGIN")
    cleanup.sql("CREATE TABLE secret_table (id int, at timestamptz); CREATE TABLE shown_table (id int, at timestamptz)")
    cleanup.add_policy("secret", "secret_table", "at", "30 days")
    cleanup.add_policy("shown", "shown_table", "at", "30 days")
    cleanup.sql("SELECT cleanup_grant('checks_viewer', 'viewer'); SELECT cleanup_grant('checks_one', 'viewer', 'shown')")
    cleanup.sql("INSERT INTO cleanup_grants (role, level) VALUES ('nobody_yet', 'admin')")
    cleanup.sql("DROP TABLE secret_table")
    texts = {}
    for user in ("checks_viewer", "checks_one"):
        session = Cleanup(cleanup.server, "postgres", user)
        texts[user] = str(session.rows("SELECT * FROM cleanup_check()"))
        session.close()
    assert "secret" in texts["checks_viewer"] and "nobody_yet" in texts["checks_viewer"]
    assert "secret" not in texts["checks_one"] and "nobody_yet" not in texts["checks_one"] and '"shown"' in texts["checks_one"]
