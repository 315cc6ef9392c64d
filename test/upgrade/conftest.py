"""The fixtures of the cluster tests, and versions that were installed once: data/ has their install scripts, frozen."""

import fcntl
import importlib.util
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
CLUSTER = HERE.parent / "cluster"
DATA = HERE / "data"
sys.path.insert(0, str(CLUSTER))

_spec = importlib.util.spec_from_file_location("cluster_conftest", CLUSTER / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
shared_server, new_server = _fixtures.shared_server, _fixtures.new_server

from surface import Cleanup  # noqa: E402


@pytest.fixture(scope="session")
def old_versions(shared_server):
    """Puts the frozen install scripts beside the present ones, in the private copy; the versions, oldest first."""
    extensions = pathlib.Path(shared_server.value("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'")) / "extension"
    scripts = sorted(DATA.glob("pg_cleanup--*.sql"), key=lambda path: [int(part) for part in _version(path).split(".")])
    with open(extensions / ".frozen.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for script in scripts:
            placed = extensions / script.name
            if not placed.exists() or placed.read_bytes() != script.read_bytes():
                placed.write_bytes(script.read_bytes())
                placed.chmod(0o644)
    return [_version(script) for script in scripts]


def _version(path):
    return path.name.removeprefix("pg_cleanup--").removesuffix(".sql")


@pytest.fixture
def databases(shared_server, request):
    """Makes databases that go away with the test."""
    made = []

    def make(script="", extension=False):
        name = f"{request.node.name}_{len(made)}"[-60:]
        context = shared_server.database(name, extension=extension)
        context.__enter__()
        made.append(context)
        cleanup = Cleanup(shared_server, name)
        if script:
            cleanup.sql(script)
        return cleanup

    yield make
    for context in reversed(made):
        context.__exit__(None, None, None)
