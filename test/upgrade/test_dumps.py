"""pg_dump of a database with policies, restored by the present version: from older versions of pg_cleanup and PostgreSQL.

A dump is a directory PG-EXTENSION (15-0.1.0) with the files that dump() writes. data/dumps has some, frozen; a directory
named by PG_CLEANUP_DUMPS gets those of this server, and what is in it from older ones is restored, too. That is how the
matrix moves a database from each version of PostgreSQL to the next ones.
"""

import os
import pathlib

import pytest

from conftest import DATA
from old_world import PRESENT, TABLES, VERSIONS, install_with_policies, write_history

EXCHANGED = os.environ.get("PG_CLEANUP_DUMPS")
CARRIED = ["cleanup_policies", "cleanup_policies_policy_id_seq", "cleanup_audit", "cleanup_audit_audit_id_seq", "cleanup_pauses"]

# In this order each file is restored into an empty database.
ORDERS = {
    "all": ["all.sql"],
    "tables_first": ["extension", "tables.sql", "policies.sql"],
    "policies_first": ["extension", "policies.sql", "tables.sql"],
}


def dump(cleanup, directory):
    """Writes all.sql (the whole database), tables.sql (the application's) and policies.sql (what pg_cleanup was told)."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, options in {
        "all.sql": [],
        "tables.sql": ["-t", "events", "-t", "notes"],
        "policies.sql": ["--data-only", "-e", "pg_cleanup", *(word for table in CARRIED for word in ("-t", table))],
    }.items():
        text = cleanup.server.run(["pg_dump", *options, cleanup.server.dsn(cleanup.dbname)]).stdout
        (directory / name).write_text(text)


def old_world(databases, version):
    cleanup = databases(TABLES)
    install_with_policies(cleanup, version)
    write_history(cleanup)
    return cleanup


def check_restored(cleanup, directory, order):
    for name in ORDERS[order]:
        cleanup.close()
        script = "CREATE EXTENSION pg_cleanup" if name == "extension" else (directory / name).read_text()
        cleanup.server.psql(script, cleanup.dbname)
    assert cleanup.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_cleanup'") == PRESENT
    assert [(row.policy, row.state) for row in cleanup.rows("SELECT * FROM cleanup_policy_states() ORDER BY policy")] == [
        ("events", "ready"), ("notes", "disabled")]
    policy = cleanup.row("SELECT * FROM cleanup_policies WHERE policy = 'events'")
    assert (policy.policy_id, policy.batch_size, policy.description) == (1, 5, "kept")
    assert policy.condition == "((target.kind)::text = 'x'::text)" or policy.condition == "(target.kind = 'x'::text)"
    assert cleanup.value("SELECT count(*) FROM cleanup_audit WHERE run_id IN (1, 2)") == 2
    assert cleanup.value("SELECT reason FROM cleanup_pauses") == "moving"

    # The extension's own tables came with CREATE EXTENSION, and the numbers go on behind those that were loaded.
    due = cleanup.value("SELECT count(*) FROM events WHERE at < now() - interval '30 days'")
    assert due >= 20
    done = cleanup.run("events")
    assert (done.status, done.rows) == ("succeeded", due)
    assert cleanup.add_policy("new", "notes", "at", "50 days") == 3


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("version", VERSIONS + [PRESENT])
def test_into_another_database(databases, old_versions, tmp_path, version, order):
    assert version in [*old_versions, PRESENT]
    source = old_world(databases, version)
    dump(source, tmp_path)
    check_restored(databases(), tmp_path, order)


def major(server):
    return server.value("SELECT current_setting('server_version_num')::int / 10000")


def dumps():
    """The directories of dumps that are there before the tests start."""
    places = [DATA / "dumps"] + ([pathlib.Path(EXCHANGED)] if EXCHANGED else [])
    return sorted(found for place in places for found in place.iterdir() if found.is_dir())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("directory", dumps(), ids=lambda path: path.name)
def test_from_another_version(databases, shared_server, directory, order):
    if int(directory.name.split("-")[0]) > major(shared_server):
        pytest.skip("a newer PostgreSQL's dump")
    check_restored(databases(), directory, order)


@pytest.mark.skipif(not EXCHANGED, reason="PG_CLEANUP_DUMPS names no directory")
@pytest.mark.parametrize("version", VERSIONS + [PRESENT])
def test_leave_a_dump_for_other_versions(databases, shared_server, old_versions, version):
    assert version in [*old_versions, PRESENT]
    directory = pathlib.Path(EXCHANGED) / f"{major(shared_server)}-{version}"
    dump(old_world(databases, version), directory)
    assert (directory / "all.sql").read_text().count("COPY public.cleanup_policies") == 1
