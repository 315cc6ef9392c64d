"""What cleanup_run promises its caller: transactions, waiting, cancelling, limits, guards, breakers, refusals."""

import psycopg2
import pytest

from slow_run import SlowRun
from surface import Background, Cleanup

DUE, YOUNG = 500, 100


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


@pytest.fixture
def events(cleanup):
    """500 due rows, a day apart from each other, and 100 young ones."""
    cleanup.sql("CREATE TABLE events (id int PRIMARY KEY, at timestamptz, kind text)")
    cleanup.sql("INSERT INTO events SELECT n, now() - (n - 71) * interval '1 day' - interval '12 hours', 'kind ' || n % 3"
                f" FROM generate_series(1, {DUE + YOUNG}) n WHERE n > {YOUNG}")
    cleanup.sql(f"INSERT INTO events SELECT n, now() - n * interval '1 minute', 'young' FROM generate_series(1, {YOUNG}) n")
    cleanup.sql("ANALYZE events")
    cleanup.add_policy("events", "events", "at", "29 days", batch_size=50)
    assert cleanup.dry_run("events").eligible_rows == DUE
    return cleanup


def left(cleanup, table="events"):
    return cleanup.value(f"SELECT count(*) FROM {table}")


def refused(cleanup, query, *words, code=None):
    """The query's error, which must have the words in message, detail or hint."""
    with pytest.raises(psycopg2.Error) as caught:
        cleanup.rows(query)
    error = caught.value
    text = " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)))
    for word in words:
        assert word in text, text
    if code:
        assert error.pgcode == code, (error.pgcode, text)
    return error


# -- transactions -------------------------------------------------------------------------------------------------------


def test_wait_false_outside_a_transaction(events):
    (row,) = events.rows("SELECT * FROM cleanup_run('events', wait => false)")
    assert (row.policy, row.status, row.rows) == ("events", "running", 0), row
    done = events.wait_for_run(row.run_id)
    assert done.status == "succeeded" and left(events) == YOUNG
    assert events.targets(row.run_id)[0].rows == DUE


def test_wait_false_starts_at_the_commit(events):
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("DELETE FROM events WHERE id % 2 = 0 AND id > 100")
        cursor.execute("INSERT INTO events SELECT n, now() - interval '99 days', 'new' FROM generate_series(1001, 1010) n")
        cursor.execute("SELECT run_id FROM cleanup_run('events', wait => false)")
        run_id = cursor.fetchone()[0]
    assert events.rows("SELECT 1 FROM cleanup_runs WHERE run_id = %s", [run_id]) == []
    assert left(events) == DUE + YOUNG
    other.commit()
    assert events.wait_for_run(run_id).status == "succeeded"
    assert events.targets(run_id)[0].rows == DUE // 2 + 10  # it saw what the transaction did
    assert left(events) == YOUNG
    other.close()


@pytest.mark.parametrize("end", ["ROLLBACK", "SELECT 1/0", "ROLLBACK TO s; COMMIT", "disconnect"])
def test_wait_false_rolled_back(events, end):
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SAVEPOINT s; SELECT run_id FROM cleanup_run('events', wait => false)")
        run_id = cursor.fetchone()[0]
        if end == "disconnect":
            other.close()
        else:
            for statement in end.split("; "):
                try:
                    cursor.execute(statement)
                except psycopg2.errors.DivisionByZero:
                    cursor.execute("ROLLBACK")
    events.wait_for_no_workers()
    assert left(events) == DUE + YOUNG
    assert events.rows("SELECT 1 FROM cleanup_runs WHERE run_id = %s", [run_id]) == []
    other.close()
    # And nothing is in the way of the next one.
    assert events.run("events").status == "succeeded"


def test_idle_transaction_is_fine(events):
    """An ORM's BEGIN, with nothing done but reading elsewhere."""
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class")
        cursor.execute("SELECT status, rows FROM cleanup_run('events')")
        assert cursor.fetchall() == [("succeeded", DUE)]
    other.rollback()
    other.close()
    assert left(events) == YOUNG


@pytest.mark.parametrize("before, code", [
    ("CREATE TABLE other (a int)", "25001"),
    ("SELECT pg_current_xact_id()", "25001"),
    ("SAVEPOINT s", "25001"),
    ("SELECT count(*) FROM events", "55006"),
    ("LOCK TABLE events IN ACCESS SHARE MODE", "55006"),
    ("DECLARE c CURSOR FOR SELECT * FROM events", "55006"),
], ids=["wrote", "xid", "savepoint", "read_target", "locked_target", "cursor"])
def test_transactions_in_which_waiting_is_refused(events, before, code):
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute(before)
        with pytest.raises(psycopg2.Error) as caught:
            cursor.execute("SELECT * FROM cleanup_run('events')")
        assert caught.value.pgcode == code, caught.value
        assert "wait => false" in caught.value.diag.message_hint
    other.rollback()
    other.close()
    assert left(events) == DUE + YOUNG
    assert events.value("SELECT count(*) FROM cleanup_runs") == 0


def test_refused_in_a_function_that_catches(events):
    refused(events, """DO $$ BEGIN
        BEGIN PERFORM * FROM cleanup_run('events'); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$""", "subtransaction", code="25001")
    assert left(events) == DUE + YOUNG


def test_in_a_function_and_in_several_statements_at_once(events):
    """A DO block without exceptions works; so does what psql -c sends with two statements, or it is refused, never hangs."""
    events.sql("DO $$ BEGIN PERFORM * FROM cleanup_run('events', max_rows => 5); END $$")
    assert left(events) == DUE + YOUNG - 5
    try:
        events.sql("SELECT * FROM cleanup_run('events', max_rows => 5); SELECT 1")
    except psycopg2.Error as error:
        assert error.pgcode == "25001", error
    events.wait_for_no_workers()


def test_read_only_transaction(events):
    events.sql("SET default_transaction_read_only = on")
    refused(events, "SELECT * FROM cleanup_run('events')", "read-only", code="25006")
    assert events.dry_run("events").eligible_rows == DUE  # a dry run only reads
    assert left(events) == DUE + YOUNG


def test_isolation_levels_of_the_caller(events):
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        events.sql(f"SET default_transaction_isolation = '{level}'")
        assert events.run("events", max_rows=7).rows == 7


# -- cancelling ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(shared_server, db):
    made = SlowRun(shared_server, db)
    yield made
    made.cleanup.close()


def test_cleanup_cancel(slow):
    run_id = slow.start()
    assert slow.cleanup.value("SELECT cleanup_cancel(%s)", [run_id]) is True
    row = slow.check_ended(run_id, ("cancelled",))
    assert slow.left() > slow.young
    assert {target.status for target in slow.cleanup.targets(run_id)} == {"cancelled"}
    assert slow.cleanup.value("SELECT cleanup_cancel(%s)", [run_id]) is False
    assert slow.cleanup.value("SELECT count(*) FROM cleanup_audit WHERE event LIKE '%%cancel%%' AND run_id = %s", [run_id]) >= 1
    assert row.finished_at is not None
    slow.check_next_run_finishes()


def test_cancel_right_after_the_start(slow):
    """However early: the run ends, and says cancelled."""
    for _ in range(5):
        slow.fill()
        run_id = slow.cleanup.start("slow")
        assert slow.cleanup.value("SELECT cleanup_cancel(%s)", [run_id]) is True
        slow.check_ended(run_id, ("cancelled",))


def test_cancel_of_nothing(slow):
    refused(slow.cleanup, "SELECT cleanup_cancel(4711)", "4711")
    refused(slow.cleanup, "SELECT cleanup_cancel(NULL)", "NULL")


def waiting_run(slow, before=""):
    """A session that waits for a run; it, and what comes of it."""
    other = slow.cleanup.connect()
    if before:
        with other.cursor() as cursor:
            cursor.execute(before)

    def wait():
        with other.cursor() as cursor:
            cursor.execute("SELECT status FROM cleanup_run('slow')")
            return cursor.fetchall()

    caller = Background(wait)
    slow.cleanup.wait_until("SELECT coalesce(max(rows), 0) > 100 FROM cleanup_run_targets")
    return other, caller


def test_cancel_of_the_caller(slow):
    other, caller = waiting_run(slow)
    slow.cleanup.sql("SELECT pg_cancel_backend(%s)", [other.info.backend_pid])
    with pytest.raises(psycopg2.errors.QueryCanceled):
        caller.result()
    run_id = slow.cleanup.value("SELECT max(run_id) FROM cleanup_runs")
    slow.check_ended(run_id, ("cancelled",))
    other.close()
    slow.check_next_run_finishes()


def test_the_run_has_ended_when_the_cancel_is_told(slow):
    """So that whoever pressed Ctrl-C sees what was done."""
    other, caller = waiting_run(slow)
    slow.cleanup.sql("SELECT pg_cancel_backend(%s)", [other.info.backend_pid])
    with pytest.raises(psycopg2.errors.QueryCanceled):
        caller.result()
    with other.cursor() as cursor:
        cursor.execute("SELECT status FROM cleanup_runs")
        assert cursor.fetchall() == [("cancelled",)]
        cursor.execute("SELECT sum(rows) FROM cleanup_run_targets")
        assert cursor.fetchone()[0] == slow.missing()
    other.close()


def test_statement_timeout_of_the_caller(slow):
    slow.cleanup.sql("SET statement_timeout = '500ms'")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        slow.cleanup.run("slow")
    slow.cleanup.sql("RESET statement_timeout")
    run_id = slow.cleanup.value("SELECT max(run_id) FROM cleanup_runs")
    slow.check_ended(run_id, ("cancelled",))


def test_a_worker_in_pg_stat_activity(slow):
    run_id = slow.start()
    names = " ".join(f"{row.backend_type} {row.application_name} {row.query}" for row in slow.cleanup.workers())
    assert f"pg_cleanup run {run_id}: slow" in names, names
    slow.set_pace(0)
    slow.check_ended(run_id, ("succeeded",))


def test_progress_moves(slow):
    run_id = slow.start()
    first = slow.cleanup.row("SELECT * FROM cleanup_progress")
    assert (first.run_id, first.policy, first.status) == (run_id, "slow", "running"), first
    slow.cleanup.wait_until("SELECT rows >= %s FROM cleanup_progress", [first.rows + 100])
    second = slow.cleanup.row("SELECT * FROM cleanup_progress")
    assert second.percent >= first.percent and 0 <= second.percent <= 100
    assert second.batches > first.batches
    slow.set_pace(0)
    slow.check_ended(run_id, ("succeeded",))
    assert slow.cleanup.rows("SELECT * FROM cleanup_progress") == []


# -- limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 49, 50, 51, 499, 500, 501])
def test_max_rows_is_exact(events, rows):
    done = events.run("events", max_rows=rows)
    assert done.rows == min(rows, DUE)
    assert left(events) == DUE + YOUNG - min(rows, DUE)
    assert done.status == ("succeeded" if rows >= DUE else "partial") or rows == DUE, done


def test_max_rows_of_all_policies(events):
    events.sql("CREATE TABLE logs AS SELECT * FROM events")
    events.add_policy("logs", "logs", "at", "29 days")
    done = events.runs(max_rows=600)
    assert sum(row.rows for row in done) <= 2 * 600
    assert all(row.rows <= 600 for row in done), done


def test_max_duration(slow):
    done = slow.cleanup.run("slow", max_duration="1 second")
    assert done.status == "partial", done
    assert 0 < done.rows < slow.due
    assert done.duration.total_seconds() < 10
    slow.check_counters(done.run_id)
    slow.check_next_run_finishes()


def test_max_duration_of_ages(events):
    assert events.run("events", max_duration="1000000 years").status == "succeeded"
    assert left(events) == YOUNG


@pytest.mark.parametrize("wait", [True, False])
def test_the_request_is_kept(events, wait):
    """Whoever reads the history sees what was asked for, bounds included."""
    events.sql("SET DateStyle = 'German, DMY'; SET TimeZone = 'America/New_York'")
    run_id = events.value("SELECT run_id FROM cleanup_run('events', age_from => '2001-02-03 04:05:06+00', age_to => '2001-03-03 04:05+00',"
                          " as_of => '2002-01-01 00:00+00', max_rows => 7, max_duration => '2 minutes', wait => %s)", [wait])
    events.close()
    events.wait_for_run(run_id)
    request = events.value("SELECT request FROM cleanup_runs WHERE run_id = %s", [run_id])
    assert request.pop("policy_id") == events.value("SELECT policy_id FROM cleanup_policies")
    assert request == {"age_from": "2001-02-03 04:05:06+00", "age_to": "2001-03-03 04:05:00+00", "as_of": "2002-01-01 00:00:00+00",
                       "max_rows": 7, "max_microseconds": 120000000, "wait": wait}


def test_as_of_is_the_cutoff_of_the_dry_run(events):
    planned = events.dry_run("events")
    events.sql("INSERT INTO events VALUES (5000, %s, 'just past the preview')", [planned.cutoff])
    done = events.run("events", as_of=planned.cutoff)
    assert done.rows == planned.eligible_rows == DUE
    assert left(events) == YOUNG + 1
    assert events.targets(done.run_id)[0].cutoff == planned.cutoff


def test_as_of_does_not_shorten_the_period(events):
    refused(events, "SELECT * FROM cleanup_run('events', as_of => now())", "as_of")
    assert left(events) == DUE + YOUNG


def test_range_narrows(events):
    start, end = events.rows("SELECT now() - interval '100 days' AS a, now() - interval '50 days' AS b")[0]
    expected = events.value("SELECT count(*) FROM events WHERE at >= %s AND at < %s", [start, end])
    assert events.dry_run("events", age_from=start, age_to=end).eligible_rows == expected == 50
    done = events.run("events", age_from=start, age_to=end)
    assert done.rows == 50
    assert events.value("SELECT count(*) FROM events WHERE at >= %s AND at < %s", [start, end]) == 0
    assert left(events) == DUE + YOUNG - 50
    # It cannot widen.
    done = events.run("events", age_from=events.value("SELECT now() - interval '20 days'"))
    assert done.rows == 0 and left(events) == DUE + YOUNG - 50


def test_retain_override(events):
    expected = events.value("SELECT count(*) FROM events WHERE at < now() - interval '100 days'")
    assert events.dry_run("events", retain="100 days").eligible_rows == expected
    assert events.run("events", retain="100 days").rows == expected
    # Shorter: the owner of the target (here: a superuser) may.
    younger = events.value("SELECT count(*) FROM events WHERE at < now() - interval '1 hour'")
    assert events.run("events", retain="1 hour").rows == younger
    assert events.value("SELECT retain::text FROM cleanup_policies") == "29 days"


@pytest.mark.parametrize("call, word", [
    ("cleanup_run('*', retain => '90 days')", "policy"),
    ("cleanup_run(age_from => now())", "policy"),
    ("cleanup_run('events', max_rows => 0)", "max_rows"),
    ("cleanup_run('events', max_rows => -1)", "max_rows"),
    ("cleanup_run('events', max_duration => '0')", "max_duration"),
    ("cleanup_run('events', max_duration => '-1 hour')", "max_duration"),
    ("cleanup_run('events', age_from => now() - interval '1 day', age_to => now() - interval '2 days')", "age_from"),
    ("cleanup_run('events', retain => '30')", "retain"),
    ("cleanup_run('events', retain => '-1 day')", "retain"),
    ("cleanup_run('events', retain => '1 mon -1 day')", "retain"),
    ("cleanup_run('events', as_of => 'infinity')", "finite"),
    ("cleanup_run('events', force => NULL)", "NULL"),
    ("cleanup_run('events', wait => NULL)", "NULL"),
    ("cleanup_run(NULL)", "NULL"),
    ("cleanup_dry_run(NULL)", "NULL"),
    ("cleanup_preview(NULL)", "NULL"),
    ("cleanup_run('event')", '"event"'),
    ("cleanup_run('')", ""),
    ("cleanup_dry_run('Events')", "Events"),
    ("cleanup_run('nothing like it at all')", "nothing like it at all"),
])
def test_bad_arguments(events, call, word):
    refused(events, f"SELECT * FROM {call}", word)
    assert left(events) == DUE + YOUNG
    events.wait_for_no_workers()


@pytest.mark.parametrize("call", ["cleanup_run('event')", "cleanup_dry_run('evnets')", "cleanup_preview('events ')"])
def test_near_names(events, call):
    error = refused(events, f"SELECT * FROM {call}", code="42704")
    assert "events" in (error.diag.message_hint or ""), error.diag.message_hint


def test_disabled_policy(events):
    events.alter_policy("events", enabled=False)
    assert events.runs() == []
    try:
        done = events.run("events")
        assert done.status in ("skipped", "failed") and done.rows == 0, done
    except psycopg2.Error as error:
        assert "disabled" in str(error)
    assert left(events) == DUE + YOUNG


def test_no_policy_at_all(cleanup):
    assert cleanup.runs() == []
    assert cleanup.dry_runs() == []


# -- two at a time ------------------------------------------------------------------------------------------------------


def test_second_run_on_a_table_is_skipped(slow):
    slow.cleanup.add_policy("other", "slow", "a", "45 days")
    run_id = slow.start()
    for policy in ("slow", "other"):
        second = slow.cleanup.run(policy)
        assert (second.status, second.rows) == ("skipped", 0), second
        assert str(run_id) in second.message, second.message
    slow.set_pace(0)
    slow.check_ended(run_id, ("succeeded",))
    assert slow.cleanup.run("other").status == "succeeded"


def test_second_run_on_a_dependent_table_is_skipped(slow):
    slow.cleanup.sql("CREATE TABLE part (id int PRIMARY KEY, slow int REFERENCES slow ON DELETE CASCADE, at timestamptz)")
    slow.cleanup.sql("CREATE INDEX ON part (slow)")
    slow.cleanup.sql("INSERT INTO part SELECT id, id, a FROM slow")
    slow.cleanup.add_policy("part", "part", "at", "30 days")
    run_id = slow.start()
    second = slow.cleanup.run("part")
    assert (second.status, second.rows) == ("skipped", 0), second
    assert str(run_id) in second.message
    slow.set_pace(0)
    assert slow.cleanup.wait_for_run(run_id).status == "succeeded"


def test_runs_on_different_tables_side_by_side(slow):
    slow.cleanup.sql("CREATE TABLE other (id int, at timestamptz)")
    slow.cleanup.sql("INSERT INTO other SELECT n, now() - interval '60 days' FROM generate_series(1, 50) n")
    slow.cleanup.add_policy("other", "other", "at", "30 days")
    run_id = slow.start()
    assert slow.cleanup.run("other").rows == 50
    slow.set_pace(0)
    slow.check_ended(run_id, ("succeeded",))


def test_no_free_worker_slot(new_server):
    server = new_server({"max_worker_processes": "1", "max_logical_replication_workers": "0"})
    server.sql("CREATE EXTENSION pg_cleanup")
    cleanup = Cleanup(server, "postgres")
    cleanup.sql("CREATE TABLE t AS SELECT n AS id, now() - n * interval '1 day' AS at FROM generate_series(1, 60) n")
    cleanup.add_policy("t", "t", "at", "30 days")
    assert cleanup.dry_run("t").eligible_rows == 31  # one worker is enough to look
    try:
        done = cleanup.run("t")
        assert done.status == "failed" and done.rows == 0, done
        assert "max_worker_processes" in done.message, done.message
    except psycopg2.Error as error:
        assert error.pgcode == "53400" and "max_worker_processes" in error.diag.message_detail + error.diag.message_hint, error
    cleanup.wait_for_no_workers()
    assert left(cleanup, "t") == 60
    assert cleanup.value("SELECT count(*) FROM cleanup_runs WHERE status = 'running'") == 0
    server.restart(max_worker_processes="0")
    cleanup.close()
    for call in ("cleanup_run", "cleanup_dry_run", "cleanup_preview"):
        refused(cleanup, f"SELECT * FROM {call}('t')", "max_worker_processes", code="53400")
    cleanup.close()


# -- guards, breakers, pauses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guard, words", [
    ("false", []), ("NULL::boolean", []), ("(SELECT on_ FROM switch)", []), ("(SELECT on_ FROM switch WHERE false)", []),
    ("1 / (SELECT count(*) FROM switch WHERE on_) > 0", ["division by zero"]),
    ("(SELECT on_ FROM switch, generate_series(1, 2))", ["more than one row"]),
], ids=["false", "null", "query", "no_row", "raises", "two_rows"])
def test_guard_that_is_not_true(events, guard, words):
    events.sql("CREATE TABLE switch AS SELECT false AS on_")
    events.alter_policy("events", guard=guard)
    assert any("guard" in warning for warning in events.dry_run("events").warnings)
    done = events.run("events")
    assert (done.status, done.rows) == ("skipped", 0), done
    assert "guard" in done.message
    for word in words:
        assert word in done.message
    assert left(events) == DUE + YOUNG
    assert events.run_row(done.run_id).status == "skipped"


def test_guard_that_is_true(events):
    events.alter_policy("events", guard="extract(year FROM now()) > 2000 AND EXISTS (SELECT FROM pg_class)")
    assert events.run("events").rows == DUE


@pytest.mark.parametrize("limit", [{"refuse_above_rows": DUE - 1}, {"refuse_above_fraction": 0.8}])
def test_breaker(events, limit):
    events.alter_policy("events", **limit)
    done = events.run("events")
    assert (done.status, done.rows) == ("failed", 0), done
    assert next(iter(limit)) in done.message and "force" in done.message
    assert left(events) == DUE + YOUNG
    forced = events.run("events", force=True)
    assert (forced.status, forced.rows) == ("succeeded", DUE), forced
    assert events.run_row(forced.run_id).forced is True
    assert events.run_row(done.run_id).forced is False


@pytest.mark.parametrize("limit", [{"refuse_above_rows": DUE}, {"refuse_above_fraction": 0.84}])
def test_breaker_that_holds(events, limit):
    events.alter_policy("events", **limit)
    assert events.run("events").rows == DUE


def test_force_lifts_nothing_but_the_breaker(events):
    events.alter_policy("events", guard="false")
    assert events.run("events", force=True).status == "skipped"
    events.alter_policy("events", guard="true")
    events.sql("SELECT cleanup_pause('a fire')")
    assert_paused(events, force=True)
    assert left(events) == DUE + YOUNG


def test_paused(events):
    events.sql("SELECT cleanup_pause('the fire brigade is here')")
    assert_paused(events)
    assert left(events) == DUE + YOUNG
    assert events.dry_run("events").eligible_rows == DUE
    events.sql("SELECT cleanup_resume('false alarm')")
    assert events.run("events").rows == DUE
    assert events.value("SELECT count(*) FROM cleanup_audit WHERE event ~ 'pause|resume'") >= 2


def assert_paused(cleanup, **named):
    try:
        done = cleanup.run("events", **named)
        assert done.status in ("skipped", "cancelled") and done.rows == 0, done
        assert "pause" in done.message
    except psycopg2.Error as error:
        assert "pause" in str(error)


# -- rows that fail -----------------------------------------------------------------------------------------------------


def refusing_trigger(cleanup, condition, code="P0001", when="BEFORE"):
    cleanup.sql(f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF {condition} THEN RAISE 'row % is dear to me', OLD.id USING errcode = '{code}'; END IF; RETURN OLD; END $$""")
    cleanup.sql(f"CREATE TRIGGER refuse {when} DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse()")


@pytest.mark.parametrize("batch_size", [None, 1, 50, 1000])
@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_failing_rows_are_isolated(events, when, batch_size):
    events.alter_policy("events", **({"batch_size": batch_size} if batch_size else {"clear": ["batch_size"]}))
    refusing_trigger(events, "OLD.id IN (101, 102, 250, 333, 600)", when=when)
    done = events.run("events")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - 5, 5), done
    assert {row.id for row in events.rows("SELECT id FROM events WHERE id > 100")} == {101, 102, 250, 333, 600}
    told = events.value("SELECT string_agg(details::text, ' ') FROM cleanup_audit WHERE run_id = %s", [done.run_id])
    assert "is dear to me" in told, told
    events.sql("DROP TRIGGER refuse ON events")
    assert events.run("events").rows == 5


@pytest.mark.parametrize("batch_size", [1, 50])
def test_failing_row_whose_reason_goes(events, batch_size):
    """A row that may not go before another goes in the same run, when that has gone; what went is not told of as left."""
    events.alter_policy("events", batch_size=batch_size)
    refusing_trigger(events, "OLD.id IN (101, 102) AND EXISTS (SELECT FROM events WHERE id = 600)")
    done = events.run("events")
    assert (done.status, done.rows, done.skipped_rows) == ("succeeded", DUE, 0), done


def test_trigger_that_only_marks_rows(events):
    """Rows that are marked as deleted, and kept, are other versions elsewhere; they are due all the same, and told of."""
    events.sql("ALTER TABLE events ADD gone boolean, ADD filler text DEFAULT repeat('x', 500)")
    events.sql("""CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN UPDATE events SET gone = true WHERE id = OLD.id; RETURN NULL; END $$""")
    events.sql("CREATE TRIGGER mark BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION mark()")
    done = events.run("events")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", 0, DUE), done
    reasons = events.value("SELECT details->'skipped' FROM cleanup_audit WHERE run_id = %s AND event = 'run'", [done.run_id])
    assert [(reason["reason"], reason["rows"]) for reason in reasons] == [("kept by a trigger", DUE)]
    assert left(events, "events WHERE gone") == DUE


def test_trigger_that_moves_due_rows(events):
    """A counter in a row of the same table: the row that it moves behind the walk goes in the same run."""
    events.sql("ALTER TABLE events ADD n int DEFAULT 0, ADD filler text DEFAULT repeat('x', 500)")
    events.sql("""CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN UPDATE events SET n = n + 1 WHERE id > OLD.id AND id <= OLD.id + 3; RETURN NULL; END $$""")
    events.sql("CREATE TRIGGER count_up AFTER DELETE ON events FOR EACH ROW EXECUTE FUNCTION count_up()")
    done = events.run("events")
    assert (done.status, done.rows) == ("succeeded", DUE), done
    assert left(events) == YOUNG


def test_too_many_failing_rows(events):
    """The policy fails, and what was deleted stays counted."""
    events.sql(f"ALTER DATABASE {events.dbname} SET pg_cleanup.max_failing_rows = 20")
    events.close()
    refusing_trigger(events, "OLD.id % 3 = 0")
    done = events.run("events")
    assert done.status == "failed", done
    assert done.rows == DUE + YOUNG - left(events)
    assert done.rows < DUE - 20
    assert "max_failing_rows" in done.message, done.message


def test_errors_of_other_classes_fail_the_policy(events):
    refusing_trigger(events, "OLD.id = 333", code="42P01")
    done = events.run("events")
    assert done.status == "failed", done
    assert "is dear to me" in done.message
    assert done.rows == DUE + YOUNG - left(events)


def test_a_failing_policy_does_not_stop_the_next(events):
    events.sql("CREATE TABLE logs AS SELECT * FROM events")
    events.add_policy("logs", "logs", "at", "29 days", priority=200)
    refusing_trigger(events, "true", code="42P01")
    first, second = events.runs()
    assert (first.policy, first.status) == ("events", "failed"), first
    assert (second.policy, second.status, second.rows) == ("logs", "succeeded", DUE), second
    assert events.run_row(first.run_id).status in ("partial", "failed")


def test_locked_rows_are_skipped_and_told(events):
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM events WHERE id BETWEEN 200 AND 209 FOR UPDATE")
        done = events.run("events")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - 10, 10), done
    told = events.value("SELECT string_agg(details::text, ' ') FROM cleanup_audit WHERE run_id = %s", [done.run_id])
    assert "lock" in told, told
    other.rollback()
    other.close()
    assert events.run("events").rows == 10


def test_table_locked_against_deletes(events):
    """A lock on the whole table: the run gives up on it in time, truthfully."""
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE events IN SHARE MODE")
        done = events.run("events")
    assert done.rows == 0 and done.status in ("partial", "failed", "skipped"), done
    assert done.message
    other.rollback()
    other.close()
    assert events.run("events").rows == DUE


# -- the books ----------------------------------------------------------------------------------------------------------


def test_audit_of_a_run(events):
    done = events.run("events")
    entries = events.rows("SELECT * FROM cleanup_audit WHERE run_id = %s", [done.run_id])
    assert entries
    (entry,) = [row for row in entries if row.rows is not None]
    assert (entry.actor, entry.policy, entry.rows) == ("postgres", "events", DUE), entry
    assert "events" in entry.target


def test_audit_is_append_only(events):
    events.run("events")
    for statement in ("UPDATE cleanup_audit SET rows = 0", "DELETE FROM cleanup_audit", "TRUNCATE cleanup_audit"):
        events.sql("DO $$ BEGIN CREATE ROLE reader_of_audit; EXCEPTION WHEN duplicate_object THEN END $$")
        events.sql("SELECT cleanup_grant('reader_of_audit', 'viewer'); SET ROLE reader_of_audit")
        with pytest.raises(psycopg2.Error):
            events.sql(statement)
        events.sql("RESET ROLE")
    events.sql("DROP OWNED BY reader_of_audit")


def test_stats_after_runs(events):
    events.run("events", max_rows=100)
    events.run("events")
    (stats,) = events.rows("SELECT * FROM cleanup_stats('events')")
    assert (stats.runs, stats.rows, stats.last_status) == (2, DUE, "succeeded"), stats
    assert stats.state == "ready" and stats.enabled
    assert stats.overdue is None or stats.overdue.total_seconds() <= 0


def test_run_with_an_old_snapshot_around(events):
    """Somebody's REPEATABLE READ transaction neither stops nor confuses a run."""
    other = events.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM events")
        done = events.run("events")
        assert (done.status, done.rows) == ("succeeded", DUE), done
        cursor.execute("SELECT count(*) FROM events")
        assert cursor.fetchone()[0] == DUE + YOUNG
    other.rollback()
    other.close()
    assert events.run("events").rows == 0


def test_probes_of_a_referencing_table_use_its_index(events):
    """All references go to a few rows that stay, so the planner takes any value for a frequent one: without care each
    probe would read the whole table."""
    cleanup = events
    cleanup.sql("CREATE TABLE child (event int NOT NULL REFERENCES events)")
    cleanup.sql("INSERT INTO child SELECT n % 4 + 1 FROM generate_series(1, 20000) n")
    cleanup.sql("CREATE INDEX ON child (event)")
    cleanup.sql("VACUUM ANALYZE child")
    scans = "SELECT coalesce(seq_scan, 0) FROM pg_stat_user_tables WHERE relname = 'child'"
    before = cleanup.value(scans)
    assert cleanup.run("events").rows == DUE
    # The worker's numbers arrive when it ends.
    cleanup.wait_for_no_workers()
    probes = "SELECT idx_scan >= %s FROM pg_stat_user_tables WHERE relname = 'child'"
    cleanup.wait_until(probes.replace("%s", str(DUE)))
    assert cleanup.value(scans) - before < 20


def test_a_batch_that_takes_too_long_is_split(shared_server, db):
    """Nobody can know beforehand that a trigger takes long; the locks of one big batch would hold the application up."""
    slow = SlowRun(shared_server, db, due=200, young=50, batch_size=None)
    slow.set_pace(0.02)
    done = slow.cleanup.run("slow")
    assert (done.status, done.rows) == ("succeeded", 200), done
    assert done.batches >= 8, done
    slow.check_counters(done.run_id)
    slow.cleanup.close()


def test_a_row_that_takes_too_long_goes_all_the_same(shared_server, db):
    slow = SlowRun(shared_server, db, due=3, young=5, batch_size=None)
    slow.set_pace(1.2)
    done = slow.cleanup.run("slow")
    assert (done.status, done.rows, done.batches) == ("succeeded", 3, 3), done
    slow.check_counters(done.run_id)
    slow.cleanup.close()
