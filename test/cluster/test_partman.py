"""Tables that pg_partman manages: old partitions go by a policy, and pg_partman goes on making new ones."""

import pathlib
import subprocess

import pytest

from partition_days import audited, partitions
from surface import Cleanup

SHARE = pathlib.Path(subprocess.run(["pg_config", "--sharedir"], check=True, text=True, capture_output=True).stdout.strip())
pytestmark = pytest.mark.skipif(not (SHARE / "extension" / "pg_partman.control").exists(), reason="pg_partman is not installed")


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    made.sql("CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman")
    yield made
    made.close()


def make_managed(cleanup):
    """A partition a day, from twenty days ago to four days ahead, a DEFAULT one, and a hundred rows a day."""
    native = "" if int(cleanup.value("SELECT split_part(extversion, '.', 1) FROM pg_extension WHERE extname = 'pg_partman'")) >= 5 else ", p_type => 'native'"
    cleanup.sql("CREATE TABLE public.log (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, filler text) PARTITION BY RANGE (at)")
    cleanup.sql("CREATE TABLE public.log_template (LIKE public.log); ALTER TABLE public.log_template ADD PRIMARY KEY (id)")
    cleanup.sql("SELECT partman.create_parent(p_parent_table => 'public.log', p_control => 'at', p_interval => '1 day', p_premake => 4,"
                f" p_template_table => 'public.log_template', p_start_partition => (now() - interval '20 days')::date::text{native})")
    cleanup.sql("INSERT INTO log (at) SELECT date_trunc('day', now()) - n % 20 * interval '1 day' + interval '1 second' FROM generate_series(1, 2000) n")


def kept_by_partman(cleanup):
    return (cleanup.rows("SELECT * FROM partman.part_config ORDER BY parent_table"),
            cleanup.rows("SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'log_template'::regclass ORDER BY attnum"),
            cleanup.rows("SELECT conname FROM pg_constraint WHERE conrelid = 'log_template'::regclass"))


def shown(cleanup):
    return cleanup.value("SELECT count(*) FROM partman.show_partitions('public.log')")


@pytest.mark.parametrize("how", ["drop", "detach"])
def test_managed_table(cleanup, how):
    make_managed(cleanup)
    config, before = kept_by_partman(cleanup), partitions(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days", partitions=how, time_zone="UTC")
    planned = cleanup.dry_run("log")
    assert planned.strategy in ("partition, block", "partition, index") and planned.warnings == []
    done = cleanup.run("log")
    assert (done.status, done.rows, done.message) == ("succeeded", planned.eligible_rows, None)
    went = {name.removeprefix("public.") for name in audited(cleanup, done.run_id)}
    assert len(went) in (14, 15) and partitions(cleanup) == before - went
    assert kept_by_partman(cleanup) == config
    # It goes on as if they had never been there: a partition more ahead, made like the template, and no old one again.
    cleanup.sql("UPDATE partman.part_config SET premake = 6")
    cleanup.sql("SELECT partman.run_maintenance('public.log')")
    made = partitions(cleanup) - before
    assert len(made) == 2 and not partitions(cleanup) & went
    for partition in made:
        assert cleanup.value("SELECT count(*) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'", [partition]) == 1
    assert shown(cleanup) == len(partitions(cleanup)) - 1
    cleanup.sql("INSERT INTO log (at) VALUES (now())")
    assert cleanup.value("SELECT count(*) FROM ONLY log_default") == 0


def test_table_that_nobody_writes_to(cleanup):
    """All of it is old: the newest partition stays, or pg_partman would not know where to go on."""
    make_managed(cleanup)
    cleanup.sql("DO $$ DECLARE p text; BEGIN FOR p IN SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
                " WHERE inhparent = 'log'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'"
                " AND (regexp_match(pg_get_expr(c.relpartbound, c.oid), $x$TO \\('(.*)'\\)$x$))[1]::timestamptz > now() - interval '5 days'"
                " LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$")
    cleanup.add_policy("log", "log", "at", "4 days", time_zone="UTC")
    newest = cleanup.value("SELECT tableoid::regclass::text FROM log ORDER BY at DESC LIMIT 1")
    done = cleanup.run("log")
    assert (done.status, cleanup.value("SELECT count(*) FROM log")) == ("succeeded", 0), done
    assert partitions(cleanup) == {newest, "log_default"}
    cleanup.sql("SELECT partman.run_maintenance('public.log')")
    assert shown(cleanup) >= 1
