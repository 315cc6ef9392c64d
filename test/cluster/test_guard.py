"""The two-sided error guard of src/pg, driven by the test-only extension test/modules/guard_test.

Errors of every kind, both ways, a hundred levels deep, swallowed a thousand times: the backend stays healthy.
"""

import fcntl
import shlex
import subprocess

import psycopg2
import pytest

from pgserver import REPO, TOOLS
from surface import Background

KINDS = {  # what is raised: SQLSTATE, primary message
    "ereport": ("23505", "the message: ünïcode %s"),
    "elog": ("XX000", "internal: 42"),
    "raise": ("23514", "our message: %s %n ünïcode"),
    "palloc": ("53200", "out of memory"),
    "palloc_size": ("XX000", "invalid memory alloc request size 1073741824"),
    "new": ("53200", "out of memory"),
    "bad_alloc": ("53200", "out of memory"),
    "length_error": ("XX000", "vector::reserve"),
    "runtime_error": ("XX000", "a runtime error with %s"),
    "filesystem": ("XX000", "filesystem error: cannot get file size: No such file or directory [/nowhere/at/all]"),
    "int": ("XX000", "unknown C++ exception"),
    "pointer": ("XX000", "unknown C++ exception"),
    "struct": ("XX000", "unknown C++ exception"),
    "nested": ("XX000", "outer"),
    "rethrown": ("23505", "the message: ünïcode %s"),
    "syntax": ("42601", "syntax error at end of input"),
    "division": ("22012", "division by zero"),
}

pytestmark = pytest.mark.xdist_group("guard")


@pytest.fixture(scope="module")
def module(shared_server):
    """Builds guard_test out of the tree and installs it into the private copy of PostgreSQL. Looks at the log in the end."""
    build = REPO / "build" / "guard_test"
    build.mkdir(parents=True, exist_ok=True)
    make = f"make -s -f {shlex.quote(str(REPO / 'test/modules/guard_test/Makefile'))} PG_CONFIG=\"$(find_pg_config)\""
    with open(build / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["bash", "-ec", f". {shlex.quote(str(TOOLS / 'lib.sh'))}; unset MAKEFLAGS MFLAGS MAKELEVEL;"
             f" {make} all; {make} DESTDIR=\"$(install_dir)\" install"],
            cwd=build, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with shared_server.database("guard", extension=False):
        shared_server.sql("CREATE EXTENSION guard_test", dbname="guard")
        yield "guard"
    log = shared_server.log()
    for trouble in ("PANIC", "terminated by signal", "TRAP:", "non-empty SPI stack", "ERRORDATA_STACK_SIZE"):
        assert trouble not in log, log[-3000:]


@pytest.fixture
def guard(module, shared_server):
    """A connection to the database with guard_test, which is as healthy after the test as before."""
    connection = shared_server.connect(module)
    pid = connection.info.backend_pid
    yield connection
    check_health(connection)
    assert connection.info.backend_pid == pid
    connection.close()


def execute(connection, query, params=None):
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else None


def error_of(connection, query, params=None):
    with pytest.raises(psycopg2.Error) as caught:
        execute(connection, query, params)
    return caught.value.diag


def outcome(connection, query):
    try:
        return execute(connection, query)
    except psycopg2.Error as error:
        return error


def check_health(connection):
    assert execute(connection, "SELECT guard_live_objects()") == [(0,)], "destructors did not run"
    assert execute(connection, "SELECT count(*), sum(n) FROM generate_series(1, 10000) n") == [(10000, 50005000)]
    # The stacks of handlers and of context lines are as they were: this error has its own line, and no other.
    fields = error_of(connection, "DO $$ BEGIN RAISE 'plain' USING errcode = '22000'; END $$")
    assert (fields.sqlstate, fields.message_primary) == ("22000", "plain")
    assert fields.context == "PL/pgSQL function inline_code_block line 1 at RAISE"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [0, 1, 2, 100])
def test_nested(guard, kind, depth):
    fields = error_of(guard, "SELECT guard_nest(%s, %s)", [depth, kind])
    assert (fields.sqlstate, fields.message_primary) == KINDS[kind]


def test_no_error(guard):
    assert execute(guard, "SELECT guard_nest(100, 'none')") == [(100,)]


@pytest.mark.parametrize("kind", ["ereport", "rethrown"])
def test_fields_of_postgres_survive(guard, kind):
    fields = error_of(guard, "SELECT guard_nest(100, %s)", [kind])
    assert fields.message_detail == "the detail"
    assert fields.message_hint == "the hint"
    assert fields.context == "context line of the test"
    assert (fields.schema_name, fields.table_name, fields.column_name, fields.datatype_name, fields.constraint_name) == (
        "the schema", "the table", "the column", "the type", "the constraint")


def test_fields_of_ours_survive(guard):
    fields = error_of(guard, "SELECT guard_nest(100, 'raise')")
    assert (fields.message_detail, fields.message_hint) == ("our detail", "our hint")
    assert (fields.schema_name, fields.table_name, fields.column_name, fields.datatype_name, fields.constraint_name) == (
        "our schema", "our table", "our column", "our type", "our constraint")


def test_fields_as_cpp_sees_them(guard):
    (caught,) = execute(guard, "SELECT * FROM guard_caught('ereport')")
    assert caught == ("23505", "the message: ünïcode %s", "the detail", "the hint", "context line of the test", "the constraint", True)
    (caught,) = execute(guard, "SELECT * FROM guard_caught('raise')")
    assert caught[:4] == ("23514", "our message: %s %n ünïcode", "our detail", "our hint")
    assert caught[5] == "our constraint"


def test_context_lines_of_callers(guard):
    """Lines of functions between ours and the client are there once each."""
    for kind, own in (("ereport", "context line of the test\n"), ("raise", "")):
        context = error_of(guard, f"DO $$ BEGIN PERFORM guard_nest(10, '{kind}'); END $$").context
        assert context == (f"{own}SQL statement \"SELECT guard_nest(10, '{kind}')\"\n"
                           "PL/pgSQL function inline_code_block line 1 at PERFORM")


def test_position_of_a_syntax_error(guard):
    fields = error_of(guard, "SELECT guard_nest(10, 'syntax')")
    assert (fields.internal_query, fields.internal_position) == ("SELECT 1 +", "11")


@pytest.mark.parametrize("kind", KINDS)
def test_swallowed_a_thousand_times(guard, kind):
    """In subtransactions: ours, and those of PL/pgSQL. Nothing piles up."""
    times = 100 if kind == "palloc" else 1000  # each such failure writes a page to the log
    execute(guard, "SELECT guard_swallow(10, 5, %s)", [kind])
    before = memory(guard)
    assert execute(guard, "SELECT guard_swallow(%s, 5, %s)", [times, kind]) == [(times,)]
    execute(guard, f"""DO $$ DECLARE failures int := 0; BEGIN
        FOR i IN 1..{times} LOOP BEGIN PERFORM guard_nest(5, '{kind}'); EXCEPTION WHEN OTHERS THEN failures := failures + 1; END; END LOOP;
        IF failures <> {times} THEN RAISE 'only % failed', failures; END IF; END $$""")
    assert memory(guard) < before + 2**20
    check_health(guard)


def memory(guard):
    """What the backend has allocated, now that no transaction is open."""
    return execute(guard, "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts")[0][0]


@pytest.mark.parametrize("query", ["SELECT 1 / 0", "SELEC", "SELECT * FROM nowhere", "INSERT INTO one VALUES (1)",
                                   "DO $d$ BEGIN PERFORM guard_nest(3, 'raise'); END $d$", "SELECT guard_swallow_spi(3, 'SELECT 1/0') / 0"])
def test_spi_errors_swallowed(guard, query):
    execute(guard, "CREATE TEMP TABLE one (a int PRIMARY KEY); INSERT INTO one VALUES (1)")
    assert execute(guard, "SELECT guard_swallow_spi(1000, %s)", [query]) == [(1000,)]
    assert execute(guard, "SELECT guard_swallow_spi(1000, 'SELECT 1')") == [(0,)]
    assert execute(guard, "TABLE one") == [(1,)]


def test_destructors_let_nothing_out(guard):
    """pg_cleanup_call on the way out of an error: what it raises is a warning, and the first error goes on."""
    for kind in KINDS:
        assert execute(guard, "SELECT guard_swallow_cleanup(%s)", [kind]) == [(1,)]
    assert any("while cleaning up: the message" in notice for notice in guard.notices)


@pytest.mark.parametrize("depth", [0, 1, 100])
def test_real_out_of_memory(guard, depth):
    """Down to the last bytes, so that the error cannot even be copied."""
    fields = error_of(guard, "SELECT guard_exhaust_memory(%s, 50)", [depth])
    assert (fields.sqlstate, fields.message_primary) == ("53200", "out of memory")
    execute(guard, "SELECT guard_unlimit_memory()")
    check_health(guard)


@pytest.mark.parametrize("depth", [0, 100])
def test_cancel(guard, shared_server, depth):
    """It is an error like any other; the destructors run."""
    other = shared_server.connect(guard.info.dbname)
    waiting = Background(error_of, guard, "SELECT guard_wait(%s)", [depth])
    pid = guard.info.backend_pid
    shared_server.poll_until(f"SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE pid = {pid}", True)
    execute(other, "SELECT pg_cancel_backend(%s)", [pid])
    assert waiting.result().sqlstate == "57014"
    other.close()


def test_cancel_is_not_swallowed(guard):
    execute(guard, "SET statement_timeout = '300ms'")
    assert error_of(guard, "SELECT guard_swallow(1000000000, 20, 'ereport')").sqlstate == "57014"
    execute(guard, "RESET statement_timeout")


def test_terminated(guard, shared_server):
    """The end of a backend in the middle of a hundred levels harms nobody else."""
    victim = shared_server.connect(guard.info.dbname)
    waiting = Background(outcome, victim, "SELECT guard_wait(100)")
    pid = victim.info.backend_pid
    shared_server.poll_until(f"SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE pid = {pid}", True)
    execute(guard, "SELECT pg_terminate_backend(%s)", [pid])
    assert isinstance(waiting.result(), psycopg2.OperationalError)
    shared_server.wait_for_log(f"[{pid}] client backend postgres@guard FATAL:  terminating connection due to administrator command")
    assert execute(guard, "SELECT 1") == [(1,)]


def test_in_a_transaction(guard):
    """An error leaves a transaction as any error does: aborted, and usable after the rollback."""
    guard.autocommit = False
    for kind in KINDS:
        execute(guard, "CREATE TABLE gone (a int)")
        error_of(guard, "SELECT guard_nest(7, %s)", [kind])
        assert error_of(guard, "SELECT 1").sqlstate == "25P02"
        guard.rollback()
    guard.autocommit = True
    assert execute(guard, "SELECT to_regclass('gone')") == [(None,)]
