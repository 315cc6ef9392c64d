"""Fixtures of the cluster tests. With xdist each worker process has its own shared server."""

import itertools
import os
import random
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from pgserver import Server  # noqa: E402

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
