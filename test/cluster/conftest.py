"""Fixtures of the cluster tests. With xdist each worker process has its own shared server."""

import itertools
import os
import random
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from family_world import create  # noqa: E402
from pgserver import Server  # noqa: E402
from surface import Cleanup  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_server():
    """A server that tests share: each takes a database of its own in it, and leaves settings and roles alone."""
    server = Server()
    yield server
    server.destroy()


@pytest.fixture
def db(shared_server):
    """The name of a fresh database in the shared server, with the extension."""
    with shared_server.database(f"test_{next(_numbers)}") as name:
        yield name


@pytest.fixture
def new_server():
    """Makes servers for this test alone: new_server(), new_server({"setting": "value"})."""
    made = []

    def make(settings=None, **options):
        made.append(Server(settings, **options))
        return made[-1]

    def adopt(server):
        made.append(server)
        return server

    make.adopt = adopt
    yield make
    for server in reversed(made):
        server.destroy()


@pytest.fixture
def own_server(new_server):
    """One server for this test alone, to crash and restart at will; its database "postgres" has the extension."""
    server = new_server()
    server.sql("CREATE EXTENSION pg_cleanup")
    return server


@pytest.fixture
def seed(request):
    """Of random tests: PG_CLEANUP_SEED to repeat one; printed when the test fails."""
    value = int(os.environ.get("PG_CLEANUP_SEED") or random.SystemRandom().randrange(2**31))
    print(f"seed: PG_CLEANUP_SEED={value} for {request.node.nodeid}")
    return value


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
