"""The private servers that the other tests stand on: a test that cannot crash its server proves nothing."""

import os

import pytest


def test_crash_recovers(own_server):
    own_server.sql("CREATE TABLE t AS SELECT 1 AS a")
    own_server.stop_immediate()
    own_server.start(work_mem="5MB")
    assert own_server.value("SELECT a FROM t") == 1
    assert own_server.value("SHOW work_mem") == "5MB"
    own_server.restart()
    assert own_server.value("SHOW work_mem") == "5MB"


def test_kill9_is_for_own_processes_only(own_server):
    with pytest.raises(ValueError):
        own_server.kill9(os.getpid())
    connection = own_server.connect()
    backend = connection.info.backend_pid
    own_server.kill9(backend)
    own_server.wait_for_log("all server processes terminated; reinitializing")
    own_server.wait_until_ready()
    assert own_server.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend]) == 0


def test_standby_follows_and_promotes(new_server):
    primary = new_server()
    standby = new_server.adopt(primary.standby())
    primary.sql("CREATE TABLE t AS SELECT 7 AS a")
    standby.poll_until("SELECT count(*) FROM pg_class WHERE relname = 't'", 1)
    assert standby.value("SELECT pg_is_in_recovery()")
    standby.promote()
    standby.sql("INSERT INTO t VALUES (8)")
    assert standby.value("SELECT sum(a) FROM t") == 15


def test_databases_are_separate(shared_server, db):
    assert shared_server.value("SELECT count(*) FROM pg_extension WHERE extname = 'pg_cleanup'", dbname=db) == 1
    assert shared_server.value("SELECT count(*) FROM pg_extension WHERE extname = 'pg_cleanup'") == 0
    assert shared_server.psql("SELECT 1;", dbname=db).stdout == "1\n"


def test_listens_on_no_port(own_server):
    assert own_server.value("SHOW listen_addresses") == ""
    assert len(own_server.host) < 100
