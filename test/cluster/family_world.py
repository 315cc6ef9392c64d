"""A schema of an owner with a table p, and tables that reference it: fixtures and words of the tests of families."""

import itertools

import pytest

from pgserver import Server
from surface import Cleanup

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def family_server():
    server = Server()
    server.sql("CREATE ROLE parents LOGIN")
    server.sql("CREATE ROLE guardians NOLOGIN")
    server.sql("CREATE ROLE neighbour NOLOGIN")
    yield server
    server.destroy()


@pytest.fixture(params=["parents", "guardians"], ids=["login", "nologin"])
def app(request, family_server):
    """A schema app of an owner, with a table p: rows 1-20, of which 1-10 are old."""
    with family_server.database(f"family_{next(_numbers)}") as name:
        cleanup = Cleanup(family_server, name)
        cleanup.owner = request.param
        cleanup.sql(f"CREATE SCHEMA app AUTHORIZATION {request.param}")
        create(cleanup, "CREATE TABLE p (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now() - interval '60 days', n int)")
        create(cleanup, "INSERT INTO p (id, at) SELECT n, now() - CASE WHEN n <= 10 THEN interval '60 days' ELSE interval '1 day' END"
                        " FROM generate_series(1, 20) n")
        yield cleanup
        cleanup.close()


def create(app, script, role=None):
    connection = app.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {role or app.owner}; SET search_path = app, public")
        cursor.execute(script)
    connection.close()


def add(app, table="p", **named):
    app.add_policy(table, f"app.{table}", "at", "30 days", **named)


def ids(app, table, where="true"):
    return [row[0] for row in app.rows(f"SELECT id FROM app.{table} WHERE {where} ORDER BY id")]


def run(app, policy="p", status="succeeded", **expected):
    done = app.run(policy)
    told = app.value("SELECT details::text FROM cleanup_audit WHERE run_id = %s AND event = 'run'", [done.run_id])
    assert done.status == status, (done, told)
    for name, value in expected.items():
        assert getattr(done, name) == value, (name, done, told)
    assert app.value("SELECT count(*) FROM cleanup_run_targets WHERE run_id = %s AND status = 'running'", [done.run_id]) == 0
    return done, told


def child(name, action="ON DELETE CASCADE", parent="p", more=""):
    return (f"CREATE TABLE {name} (id int PRIMARY KEY, parent int REFERENCES {parent} {action} {more});"
            f"CREATE INDEX ON {name} (parent);")


def fill(name, rows="generate_series(1, 20)", parent="n"):
    return f"INSERT INTO {name} SELECT n, {parent} FROM {rows} n;"
