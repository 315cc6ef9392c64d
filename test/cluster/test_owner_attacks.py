"""The owner of a table owns nothing else: wherever his code runs, it runs as him, and the books stay true.

Each for an owner who may log in (the worker connects as him) and for one who may not (the worker is switched to him).
"""

import psycopg2
import pytest

from owner_world import DUE, YOUNG, OwnerWorld, attempt, prepare_server
from pgserver import SOAK, Server
from surface import Background

PAYLOAD = "BEGIN PERFORM m.payload(TG_NAME || ' ' || TG_OP || ' ' || TG_LEVEL); RETURN OLD; END"
SOME_PAYLOAD = "BEGIN IF OLD.id % 50 = 1 THEN PERFORM m.payload(TG_NAME || ' ' || TG_OP); END IF; RETURN OLD; END"


@pytest.fixture(scope="module")
def attacked_server():
    server = Server()
    prepare_server(server)
    yield server
    server.destroy()


@pytest.fixture(params=["mallory", "mallory_group"], ids=["login", "nologin"])
def world(request, attacked_server):
    name = f"attack_{abs(hash(request.node.nodeid)) % 10**12}"
    with attacked_server.database(name):
        made = OwnerWorld(attacked_server, name, request.param)
        yield made
        made.cleanup.close()
        for role in ("mallory", "mallory_group"):
            attacked_server.sql(f"ALTER ROLE {role} RESET ALL")
            attacked_server.sql(f"ALTER ROLE {role} IN DATABASE {name} RESET ALL")


# -- where his code runs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when, level", [("BEFORE DELETE", "ROW"), ("AFTER DELETE", "ROW"), ("BEFORE DELETE", "STATEMENT"),
                                         ("AFTER DELETE", "STATEMENT")])
def test_trigger(world, when, level):
    world.trigger(SOME_PAYLOAD if level == "ROW" else PAYLOAD, when, level=level)
    world.add_policy()
    _, done = world.everything()
    world.check()
    world.check_all_gone(done)
    world.check_others_still_work()


@pytest.mark.parametrize("timing", ["DEFERRABLE INITIALLY DEFERRED", "DEFERRABLE INITIALLY IMMEDIATE", "NOT DEFERRABLE"])
def test_constraint_trigger(world, timing):
    world.trigger(SOME_PAYLOAD, "AFTER DELETE", constraint=timing)
    world.add_policy()
    _, done = world.everything()
    world.check()
    world.check_all_gone(done)
    world.check_others_still_work()


def test_trigger_that_defers_the_rest_to_the_commit(world):
    """At the commit nobody but him may run his code, and what he refuses there is not counted."""
    world.trigger("BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN OLD; END", "BEFORE DELETE", name="defers")
    world.trigger(SOME_PAYLOAD, "AFTER DELETE", constraint="DEFERRABLE INITIALLY IMMEDIATE", name="deferred")
    world.add_policy()
    _, done = world.everything()
    world.check(must_witness=False)
    world.check_counted(done)
    world.check_young()
    world.check_others_still_work()


def test_deferred_trigger_that_refuses(world):
    """A failure at the commit, or just before, counts nothing."""
    world.trigger("BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN OLD; END", "BEFORE DELETE", name="defers")
    world.trigger("BEGIN PERFORM m.witness('refuses'); IF OLD.id % 40 = 7 THEN RAISE 'not this one'; END IF; RETURN OLD; END",
                  "AFTER DELETE", constraint="DEFERRABLE INITIALLY DEFERRED", name="deferred")
    world.add_policy()
    _, done = world.everything()
    # A switched session may queue no deferred trigger: there the statement fails before his code runs.
    world.check(must_witness=False)
    world.check_counted(done)
    world.check_young()
    assert done.status in ("partial", "failed"), done
    assert {row for row in range(1, DUE) if row % 40 == 7} <= world.ids()


def test_trigger_condition(world):
    world.as_owner("""
        CREATE FUNCTION m.quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
        CREATE TRIGGER quiet BEFORE DELETE ON m.t FOR EACH ROW WHEN (m.true_by_payload(OLD.id)) EXECUTE FUNCTION m.quiet()""")
    world.add_policy()
    _, done = world.everything()
    world.check()
    world.check_all_gone(done)


@pytest.mark.parametrize("condition", [
    "m.true_by_payload(id)",
    "m.true_by_payload(51)",  # folded to a constant when it is planned
    "id === 1",
    "id::m.gem IS NOT NULL",
    "id::m.checked >= 0",
    "id IN (SELECT v.id FROM m.v)",
    "note::m.label IS NOT NULL",
], ids=["function", "folded", "operator", "cast", "domain", "view", "domain_with_constant"])
def test_condition(world, condition):
    world.as_owner("""
        CREATE FUNCTION m.same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN m.true_by_payload($1); END $$;
        CREATE OPERATOR m.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = m.same);
        CREATE TYPE m.gem AS (n int);
        CREATE FUNCTION m.to_gem(int) RETURNS m.gem LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM m.true_by_payload($1); RETURN ROW($1); END $$;
        CREATE CAST (int AS m.gem) WITH FUNCTION m.to_gem(int);
        CREATE DOMAIN m.checked AS int CHECK (m.true_by_payload(value));
        CREATE DOMAIN m.label AS text CHECK (m.true_by_payload(length(value) * 0 + 1));
        CREATE VIEW m.v AS SELECT id FROM m.t WHERE m.true_by_payload(id);
        """)
    world.cleanup.sql("SET search_path = public, m")
    added = attempt(lambda: world.add_policy(condition=condition))
    if isinstance(added, Exception):
        # Refusing is an answer; looking at it must not have run his code as somebody else.
        world.check(must_witness=False)
        return
    planned, done = world.everything()
    world.check()
    world.check_all_gone(done)
    assert not isinstance(planned, Exception) and planned.eligible_rows == DUE, planned
    world.check_others_still_work()


def test_guard(world):
    world.cleanup.sql("SET search_path = public, m")
    world.add_policy(guard="m.true_by_payload(51)")
    _, done = world.everything()
    world.check()
    world.check_all_gone(done)


def test_things_that_only_the_planner_or_the_dry_run_touches(world):
    """Index expressions and predicates, statistics, a cast to json in the preview, row security."""
    world.as_owner("""
        CREATE TYPE m.gem AS (n int);
        CREATE FUNCTION m.to_json(m.gem) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM m.payload('json'); RETURN '1'; END $$;
        CREATE CAST (m.gem AS json) WITH FUNCTION m.to_json(m.gem);
        ALTER TABLE m.t ADD COLUMN gem m.gem DEFAULT ROW(1);
        CREATE INDEX ON m.t ((m.true_by_payload(id)));
        CREATE INDEX ON m.t (at) WHERE m.true_by_payload(id);
        CREATE STATISTICS m.s ON (m.true_by_payload(id)), at FROM m.t;
        ALTER TABLE m.t ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON m.t USING (m.true_by_payload(id));
        """)
    world.add_policy()
    _, done = world.everything()
    world.check()
    world.check_all_gone(done)


@pytest.mark.parametrize("on_delete", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_dependent_table(world, on_delete):
    """Triggers, defaults, rules, checks and generated columns of a table that references his."""
    world.as_owner(f"""
        CREATE FUNCTION m.default_parent() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM m.payload('default'); RETURN NULL; END $$;
        CREATE TABLE m.child (id int PRIMARY KEY, parent int DEFAULT m.default_parent() REFERENCES m.t ON DELETE {on_delete},
          g boolean GENERATED ALWAYS AS (m.true_by_payload(coalesce(parent, 1))) STORED, CHECK (m.true_by_payload(id)));
        INSERT INTO m.child (id, parent) SELECT n, n FROM generate_series(1, 60) n;
        CREATE INDEX ON m.child (parent);
        """)
    world.trigger("BEGIN IF OLD.id % 20 = 1 THEN PERFORM m.payload('child ' || TG_OP); END IF; RETURN coalesce(NEW, OLD); END",
                  "BEFORE DELETE OR UPDATE", table="m.child")
    world.add_policy()
    planned, done = world.everything()
    world.check()
    world.check_all_gone(done)
    assert (planned.dependent_rows, done.dependent_rows) == (60, 60)


def test_dependent_table_of_somebody_else(world):
    """Eve's table references his: her code runs as her or him, never as anybody greater, and neither can use the other's rights
    through us."""
    world.as_owner("GRANT USAGE ON SCHEMA m TO eve; GRANT REFERENCES, SELECT ON m.t TO eve")
    world.as_owner("""
        CREATE TABLE eves.child (id int, parent int REFERENCES m.t ON DELETE CASCADE);
        INSERT INTO eves.child SELECT n, n FROM generate_series(1, 60) n;
        CREATE INDEX ON eves.child (parent);
        CREATE FUNCTION eves.spy() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE LOG 'WITNESS [%] [%] [%] [eve]', current_database(), current_user, session_user;
          BEGIN EXECUTE 'SET ROLE postgres'; RAISE LOG 'WITNESS [%] [%] [%] [eve did]', current_database(), current_user, session_user;
          EXCEPTION WHEN OTHERS THEN END;
          BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; RAISE LOG 'WITNESS [%] [%] [%] [eve did]', current_database(), current_user, session_user;
          EXCEPTION WHEN OTHERS THEN END;
          RETURN OLD;
        END $$;
        CREATE TRIGGER spy BEFORE DELETE ON eves.child FOR EACH ROW EXECUTE FUNCTION eves.spy();
        CREATE TRIGGER spy_later AFTER DELETE ON eves.child FOR EACH ROW EXECUTE FUNCTION eves.spy();
        """, role="eve")
    world.add_policy()
    planned, done = world.everything()
    world.check(allowed=("mallory", "mallory_group", "eve"))
    world.check_all_gone(done)
    assert world.cleanup.value("SELECT count(*) FROM eves.child") == 0


def test_partition_of_somebody_else(world):
    """A partition that belongs to Eve: her triggers do not run with anybody's greater rights."""
    world.as_owner("CREATE TABLE m.p (id int, at timestamptz) PARTITION BY RANGE (id)")
    world.as_owner("CREATE TABLE m.p1 PARTITION OF m.p FOR VALUES FROM (0) TO (100); GRANT USAGE, CREATE ON SCHEMA m TO eve")
    world.cleanup.sql("INSERT INTO m.p SELECT n, now() - interval '60 days' FROM generate_series(1, 50) n; ALTER TABLE m.p1 OWNER TO eve")
    world.as_owner("""
        CREATE FUNCTION eves.spy() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE LOG 'WITNESS [%] [%] [%] [eve]', current_database(), current_user, session_user; RETURN OLD; END $$;
        CREATE TRIGGER spy BEFORE DELETE ON m.p1 FOR EACH ROW EXECUTE FUNCTION eves.spy();
        """, role="eve")
    attempt(lambda: world.cleanup.add_policy("attack", "m.p", "at", "30 days"))
    attempt(world.everything)
    world.check(allowed=("mallory", "mallory_group", "eve"), must_witness=False)


# -- what his code leaves behind ----------------------------------------------------------------------------------------

LEFTOVERS = {
    "close_all": "EXECUTE 'CLOSE ALL'",
    "advisory_unlock": "PERFORM pg_advisory_unlock_all()",
    "deallocate": "DEALLOCATE ALL",
    "prepared": "EXECUTE format('PREPARE p%s AS SELECT 1', OLD.id)",
    "discard_plans": "DISCARD PLANS",
    "discard_all": "DISCARD ALL",
    "unlisten": "UNLISTEN *",
    "notify": "NOTIFY channel, 'hello'",
    "cursor": "EXECUTE 'DECLARE c' || OLD.id || ' CURSOR FOR SELECT 1'",
    "cursor_with_hold": "EXECUTE 'DECLARE c' || OLD.id || ' CURSOR WITH HOLD FOR SELECT m.payload(''held'')'",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "savepoint": "EXECUTE 'SAVEPOINT s'",
    "temp_table": "EXECUTE 'CREATE TEMP TABLE IF NOT EXISTS cleanup_run_targets (LIKE m.t)'",
    "temp_on_commit": "EXECUTE 'CREATE TEMP TABLE IF NOT EXISTS x (a int) ON COMMIT DROP'",
    "defer": "SET CONSTRAINTS ALL DEFERRED",
    "exceptions": "FOR i IN 1..200 LOOP BEGIN RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP",
    "analyze": "EXECUTE 'ANALYZE m.t'",
    "reinsert_young": "INSERT INTO m.t VALUES (OLD.id + 10000, now(), 'again')",
    "lock_own": "EXECUTE 'LOCK TABLE m.t IN SHARE ROW EXCLUSIVE MODE'",
    "lock_audit": "EXECUTE 'LOCK TABLE public.cleanup_audit'",
    "large_notice": "RAISE NOTICE '%', repeat('x', 100000)",
    "notices": "FOR i IN 1..100 LOOP RAISE WARNING 'w %', i; END LOOP",
    "explain": "EXECUTE 'EXPLAIN ANALYZE SELECT 1'",
    "alter_self": "EXECUTE 'ALTER ROLE CURRENT_USER SET statement_timeout = 1'",
} | {
    f"set_{name}": f"EXECUTE 'SET {name} = {value}'" for name, value in {
        "search_path": "m, pg_temp", "statement_timeout": "1", "lock_timeout": "1", "idle_in_transaction_session_timeout": "1",
        "default_transaction_read_only": "on", "transaction_read_only": "on", "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on", "synchronous_commit": "local", "row_security": "on", "TimeZone": "''Asia/Tokyo''",
        "DateStyle": "''SQL, DMY''", "IntervalStyle": "sql_standard", "standard_conforming_strings": "off",
        "transform_null_equals": "on", "client_encoding": "LATIN1", "bytea_output": "escape", "extra_float_digits": "-15",
        "work_mem": "64", "enable_tidscan": "off", "enable_seqscan": "off", "plan_cache_mode": "force_generic_plan",
        "application_name": "''innocent''", "client_min_messages": "debug5", "track_counts": "off", "session_replication_role": "replica",
        "role": "postgres", "session_authorization": "postgres", "jit": "on", "default_table_access_method": "heap",
        "pg_cleanup.batch_target_ms": "1", "pg_cleanup.lock_timeout": "1", "check_function_bodies": "off", "constraint_exclusion": "on",
        "array_nulls": "off", "quote_all_identifiers": "on", "lc_messages": "''xx''", "xmloption": "document", "commit_delay": "100000",
        "vacuum_defer_cleanup_age": "1", "zero_damaged_pages": "on", "log_statement": "none", "backslash_quote": "on",
        "escape_string_warning": "off", "gin_fuzzy_search_limit": "1", "default_tablespace": "pg_global", "temp_tablespaces": "nowhere",
    }.items()
}


# Each alone is for the soak; all settings at once say nearly the same.
EACH = list(LEFTOVERS) if SOAK else [name for name in LEFTOVERS if not name.startswith("set_")]


@pytest.mark.parametrize("name", ["set_all", *EACH])
def test_leftover(world, name):
    """By a plain trigger, swallowing what fails: never able to disturb the next batch or the books."""
    todo = [name] if name in LEFTOVERS else [each for each in LEFTOVERS if each.startswith("set_")]
    each = " ".join(f"BEGIN {LEFTOVERS[one]}; EXCEPTION WHEN OTHERS THEN NULL; END;" for one in todo)
    world.trigger(f"BEGIN PERFORM m.witness('leftover'); {each} RETURN OLD; END", "BEFORE DELETE")
    world.add_policy()
    done = world.cleanup.run("attack")
    world.check()
    world.check_counted(done)
    world.check_young()
    # CLOSE ALL and the like may hit statements that are at work; what must hold is above. Settings must not matter at all.
    if name.startswith("set_"):
        world.check_all_gone(done)
    world.check_others_still_work()


ROLE_SETTINGS = [
    "search_path = m, pg_catalog", "role = postgres", "role = victim", "session_authorization = postgres",
    "default_transaction_read_only = on", "session_replication_role = replica", "statement_timeout = '1ms'", "lock_timeout = '1ms'",
    "local_preload_libraries = 'nowhere'", "log_min_messages = panic",
]
MORE_ROLE_SETTINGS = [
    "default_transaction_isolation = serializable", "idle_in_transaction_session_timeout = '1ms'", "row_security = off",
    "transform_null_equals = on", "standard_conforming_strings = off", "TimeZone = 'Asia/Tokyo'", "DateStyle = 'SQL, DMY'",
    "IntervalStyle = 'sql_standard'", "client_encoding = 'LATIN1'", "synchronous_commit = off", "enable_tidscan = off",
    "plan_cache_mode = force_generic_plan", "track_counts = off", "log_min_error_statement = panic", "temp_tablespaces = 'nowhere'",
    "session_preload_libraries = 'nowhere'", "extra_float_digits = -15", "bytea_output = escape", "quote_all_identifiers = on",
    "allow_system_table_mods = on", "zero_damaged_pages = on", "application_name = 'innocent'", "client_min_messages = debug5",
]
IN_DATABASE = " IN DATABASE {db}"


@pytest.mark.parametrize("scope, settings", [
    *[("", [setting]) for setting in ROLE_SETTINGS + (MORE_ROLE_SETTINGS if SOAK else [])],
    *[(IN_DATABASE, [setting]) for setting in (ROLE_SETTINGS + MORE_ROLE_SETTINGS if SOAK else ROLE_SETTINGS[:3])],
    ("", [setting for setting in MORE_ROLE_SETTINGS if "preload" not in setting]),
], ids=lambda value: value if isinstance(value, str) else value[0].split(" ")[0] + (f"_and_{len(value) - 1}" if len(value) > 1 else ""))
def test_role_setting(world, scope, settings):
    """ALTER ROLE ... SET, by whomever: the worker pins what it needs."""
    world.trigger("BEGIN IF OLD.id % 50 = 1 THEN PERFORM m.payload('trigger'); END IF; RETURN OLD; END", "BEFORE DELETE")
    world.as_owner("""
        CREATE TABLE m.child (id int, parent int REFERENCES m.t ON DELETE CASCADE);
        INSERT INTO m.child SELECT n, n FROM generate_series(1, 10) n;
        CREATE INDEX ON m.child (parent);
        -- what a search_path of his puts before pg_catalog's
        CREATE FUNCTION m.always(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR m.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = m.always);
        CREATE OPERATOR m.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = m.always);
        CREATE OPERATOR m.>= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = m.always);
        CREATE FUNCTION m.count(int) RETURNS bigint LANGUAGE sql AS 'SELECT 5::bigint';
        CREATE FUNCTION m.isfinite(timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        """)
    world.add_policy()
    for setting in settings:
        world.cleanup.sql(f"ALTER ROLE {world.owner}{scope.format(db=world.dbname)} SET {setting}")
    planned, done = world.everything()
    # With messages below LOG suppressed his code cannot be heard; all else is checked.
    world.check(must_witness="log_min_messages" not in settings[0])
    world.check_counted(done)
    world.check_young()
    assert world.cleanup.value("SELECT count(*) FROM m.child WHERE parent NOT IN (SELECT id FROM m.t)") == 0, "orphans"
    if "preload" not in settings[0] and "session_authorization" not in settings[0]:
        world.check_all_gone(done)
        assert planned.eligible_rows == DUE, planned
    world.check_others_still_work()


# -- rows that he does not let go ---------------------------------------------------------------------------------------


def test_veto(world):
    world.trigger("BEGIN RETURN NULL; END")
    world.add_policy()
    _, done = world.everything()
    world.check(must_witness=False)
    world.check_counted(done)
    assert (done.status, done.rows, done.skipped_rows) == ("partial", 0, DUE), done


def test_veto_of_some(world):
    world.trigger("BEGIN IF OLD.id % 3 = 0 THEN RETURN NULL; END IF; RETURN OLD; END")
    world.add_policy()
    _, done = world.everything()
    world.check(must_witness=False)
    world.check_counted(done)
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - DUE // 3, DUE // 3), done
    world.check_young()


@pytest.mark.parametrize("body", [
    "BEGIN UPDATE m.t SET note = 'changed' WHERE id = OLD.id; RETURN OLD; END",
    "BEGIN UPDATE m.t SET at = now() WHERE id = OLD.id; RETURN OLD; END",
    "BEGIN UPDATE m.t SET at = now() WHERE id = OLD.id; RETURN NULL; END",
    "BEGIN DELETE FROM m.t WHERE id = OLD.id; RETURN OLD; END",
    "BEGIN DELETE FROM m.t WHERE id = OLD.id + 1; RETURN OLD; END",
    "BEGIN UPDATE m.t SET at = now() WHERE id = OLD.id + 1; RETURN OLD; END",
    "BEGIN OLD.id := OLD.id + 1; RETURN OLD; END",
    "BEGIN TRUNCATE m.t; RETURN OLD; END",
    "BEGIN EXECUTE 'DROP TRIGGER attack ON m.t'; RETURN OLD; END",
    "BEGIN EXECUTE 'ALTER TABLE m.t RENAME COLUMN at TO was'; RETURN OLD; END",
    "BEGIN EXECUTE 'DROP TABLE m.t'; RETURN OLD; END",
], ids=["update", "renew", "renew_and_veto", "delete_same", "delete_next", "renew_next", "change_old", "truncate", "drop_trigger",
        "rename_column", "drop_table"])
def test_trigger_that_changes_rows(world, body):
    """He may do with his rows what he likes; the run ends, and counts only what it deleted itself."""
    world.trigger(body)
    world.add_policy()
    _, done = world.everything()
    world.check(must_witness=False)
    missing = DUE - len(world.ids(f"id <= {DUE}"))
    assert 0 <= done.rows <= missing, done
    world.check_young()
    world.check_others_still_work()


def test_trigger_that_puts_rows_back(world):
    """A row that comes back as it was does not keep the run busy for ever."""
    world.trigger("BEGIN INSERT INTO m.t VALUES (OLD.id, OLD.at, OLD.note); RETURN NULL; END", "AFTER DELETE")
    world.add_policy()
    done = world.cleanup.run("attack", max_duration="60 seconds")
    world.check(must_witness=False)
    assert done.rows <= 3 * DUE and done.duration.total_seconds() < 50, done
    assert len(world.ids()) == DUE + YOUNG


@pytest.mark.parametrize("code", ["P0001", "23514", "42501", "57014", "40001", "40P01", "53200", "XX000", "55P03"])
def test_trigger_that_raises(world, code):
    """Row errors leave the row; anything else ends the policy. The counters are exact in both."""
    world.trigger(f"BEGIN IF OLD.id % 60 = 7 THEN RAISE 'not this one' USING errcode = '{code}'; END IF; RETURN OLD; END")
    world.add_policy()
    _, done = world.everything()
    world.check(must_witness=False)
    world.check_counted(done)
    world.check_young()
    refused = {row for row in range(1, DUE + 1) if row % 60 == 7}
    assert refused <= world.ids()
    if code in ("P0001", "23514"):
        assert (done.status, done.skipped_rows, done.rows) == ("partial", len(refused), DUE - len(refused)), done
    else:
        assert done.status in ("failed", "partial", "cancelled"), done
    world.check_others_still_work()


def test_statement_trigger_that_raises(world):
    world.trigger("BEGIN RAISE 'nothing goes'; END", "AFTER DELETE", level="STATEMENT")
    world.add_policy()
    _, done = world.everything()
    world.check(must_witness=False)
    assert done.rows == 0 and done.status in ("failed", "partial"), done
    assert len(world.ids()) == DUE + YOUNG


# -- cancels that he swallows -------------------------------------------------------------------------------------------

FOREVER = "LOOP BEGIN PERFORM pg_sleep(10); EXCEPTION WHEN query_canceled THEN PERFORM m.witness('swallowed'); END; END LOOP"


def test_swallowed_cancel(world):
    world.trigger(f"BEGIN IF OLD.id = 150 THEN {FOREVER}; END IF; RETURN OLD; END")
    world.add_policy()
    run_id = world.cleanup.start("attack")
    world.cleanup.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
    assert world.cleanup.value("SELECT cleanup_cancel(%s)", [run_id]) is True
    row = world.cleanup.wait_for_run(run_id)
    assert row.status == "cancelled", row
    world.check(must_witness=False)
    counted = world.cleanup.value("SELECT sum(rows) FROM cleanup_run_targets WHERE run_id = %s", [run_id])
    assert counted == DUE - len(world.ids(f"id <= {DUE}"))
    world.check_young()


def test_swallowed_statement_timeout_of_the_caller(world):
    world.trigger(f"BEGIN IF OLD.id = 150 THEN {FOREVER}; END IF; RETURN OLD; END")
    world.add_policy()
    world.cleanup.sql("SET statement_timeout = '1s'")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        world.cleanup.run("attack")
    world.cleanup.sql("RESET statement_timeout")
    world.cleanup.wait_for_no_workers()
    (run,) = world.cleanup.rows("SELECT * FROM cleanup_runs")
    assert run.status == "cancelled", run
    world.check(must_witness=False)


@pytest.mark.parametrize("call", ["cleanup_dry_run", "cleanup_preview"])
def test_swallowed_cancel_in_a_read_only_worker(world, call):
    world.as_owner(f"CREATE FUNCTION m.forever(int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN {FOREVER}; END $$")
    world.cleanup.sql("SET search_path = public, m")
    world.add_policy(condition="m.forever(id)")
    other = world.cleanup.connect()
    caller = Background(outcome, other, f"SELECT * FROM {call}('attack')")
    world.cleanup.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
    world.cleanup.sql("SELECT pg_cancel_backend(%s)", [other.info.backend_pid])
    assert isinstance(caller.result(30), psycopg2.errors.QueryCanceled)
    world.cleanup.wait_for_no_workers()
    world.check(must_witness=False)
    other.close()


def outcome(connection, query):
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    except psycopg2.Error as error:
        return error


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_own_backend(world, how):
    """He cancels or ends the worker that runs his code: his loss, and the books are right."""
    world.trigger(f"BEGIN IF OLD.id = 150 THEN PERFORM {how}(pg_backend_pid()); PERFORM pg_sleep(0.1); END IF; RETURN OLD; END")
    world.add_policy()
    done = attempt(lambda: world.cleanup.run("attack"))
    world.check(must_witness=False)
    (run,) = world.cleanup.rows("SELECT * FROM cleanup_runs")
    assert run.status in ("failed", "cancelled", "interrupted"), (run, done)
    counted = world.cleanup.value("SELECT sum(rows) FROM cleanup_run_targets")
    assert counted == DUE - len(world.ids(f"id <= {DUE}"))
    world.check_others_still_work()


# -- definitions that change under a run --------------------------------------------------------------------------------


def test_function_replaced_during_the_run(world):
    """What the condition meant when it was looked at is what it means, or the policy is broken."""
    world.as_owner("CREATE FUNCTION m.is_due(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <= 100'")
    world.trigger("""BEGIN IF OLD.id = 50 THEN
        EXECUTE 'CREATE OR REPLACE FUNCTION m.is_due(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS ''SELECT true''';
        END IF; RETURN OLD; END""")
    world.cleanup.sql("SET search_path = public, m")
    world.add_policy(condition="m.is_due(id)")
    done = world.cleanup.run("attack")
    world.check(must_witness=False)
    world.check_young()
    gone = DUE - len(world.ids(f"id <= {DUE}"))
    assert done.rows == gone
    assert done.status == "failed", done
    # The batch in which it was replaced may end; no later one begins.
    assert world.ids("id BETWEEN 101 AND 300") == set(range(101, 301))


def test_guard_that_becomes_false(world):
    """A guard is asked when the run starts; that one batch more or less goes is not the point, but nothing breaks."""
    world.as_owner("CREATE TABLE m.switch AS SELECT true AS on_")
    world.trigger("BEGIN IF OLD.id = 50 THEN UPDATE m.switch SET on_ = false; END IF; RETURN OLD; END")
    world.cleanup.sql("SET search_path = public, m")
    world.add_policy(guard="(SELECT on_ FROM m.switch)")
    done = world.cleanup.run("attack")
    world.check_counted(done)
    world.check_young()
    again = world.cleanup.run("attack")
    assert again.status == "skipped" and again.rows == 0, again
