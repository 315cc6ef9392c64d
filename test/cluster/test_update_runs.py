"""Runs of policies with action update: each due row once and no other, whatever triggers, constraints and other sessions do."""

import random
import threading

import pytest

from surface import Cleanup

DUE, YOUNG = 900, 100


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def make(cleanup, options="", columns="", partitions=0, filler=60):
    """Table c: rows 1 to DUE are due, YOUNG more are not; a log of updates, one row each."""
    by = " PARTITION BY HASH (id)" if partitions else f" WITH ({options or 'fillfactor = 100'})"
    cleanup.sql(f"CREATE TABLE c (id int PRIMARY KEY, status text DEFAULT 'active', seen_at timestamptz, reason text{columns}){by}")
    for n in range(partitions):
        # Their columns stand in another order, with a dropped one in between.
        cleanup.sql(f"CREATE TABLE c_{n} (reason text, gone int, seen_at timestamptz, id int NOT NULL, status text DEFAULT 'active')")
        cleanup.sql(f"ALTER TABLE c_{n} DROP COLUMN gone")
        cleanup.sql(f"ALTER TABLE c ATTACH PARTITION c_{n} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {n})")
    cleanup.sql(f"INSERT INTO c (id, seen_at, reason) SELECT g, now() - CASE WHEN g <= {DUE} THEN interval '3 days' ELSE interval '1 hour' END"
                f" - g * interval '1 second', repeat('x', {filler}) FROM generate_series(1, {DUE + YOUNG}) g")
    cleanup.sql("CREATE TABLE updates (id int); ANALYZE c")
    cleanup.sql("CREATE FUNCTION log_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO updates VALUES (NEW.id); RETURN NULL; END'")
    cleanup.sql("CREATE TRIGGER log AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION log_update()")


def add_policy(cleanup, **named):
    named = {"condition": "status = 'active'", "set_values": '{"status": "\'timeout\'", "reason": "repeat(\'y\', 600)"}', **named}
    cleanup.add_policy("timeout", "c", "seen_at", "1 day", action="update", **named)


def changed(cleanup):
    return {row.id for row in cleanup.rows("SELECT id FROM c WHERE status = 'timeout'")}


def check_each_once(cleanup, expected):
    assert changed(cleanup) == set(expected)
    assert cleanup.value("SELECT count(*) FROM c") == DUE + YOUNG
    log = cleanup.row("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM updates")
    assert log.n == log.ids == len(set(expected)), log


@pytest.mark.parametrize("strategy", ["block", "index"])
@pytest.mark.parametrize("batch_size", [None, 17])
def test_rows_that_move_ahead_are_taken_once(cleanup, strategy, batch_size):
    make(cleanup)
    # Free space ahead of the walk: every new version is too large for its own page.
    cleanup.sql("INSERT INTO c SELECT 10000 + g, 'gone', now(), repeat('x', 60) FROM generate_series(1, 20000) g;"
                " DELETE FROM c WHERE status = 'gone'")
    cleanup.sql("INSERT INTO c (id, status, seen_at) VALUES (0, 'last', now())")
    cleanup.sql("VACUUM (TRUNCATE off) c")
    if strategy == "index":
        cleanup.sql("CREATE INDEX ON c (seen_at)")
        # Few of many, so that the planner wants the index.
        cleanup.sql("INSERT INTO c SELECT 100000 + g, 'young', now(), repeat('z', 200) FROM generate_series(1, 40000) g")
        cleanup.sql("VACUUM ANALYZE c")
    add_policy(cleanup, batch_size=batch_size)
    assert cleanup.dry_run("timeout").strategy == strategy
    done = cleanup.run("timeout")
    assert (done.status, done.rows, done.skipped_rows) == ("succeeded", DUE, 0), done
    cleanup.sql("DELETE FROM c WHERE status IN ('young', 'last')")
    check_each_once(cleanup, range(1, DUE + 1))
    again = cleanup.run("timeout")
    assert (again.status, again.rows) == ("succeeded", 0), again


def test_partitions(cleanup):
    make(cleanup, partitions=3)
    add_policy(cleanup)
    assert cleanup.dry_run("timeout").eligible_rows == DUE
    assert len(cleanup.preview("timeout", 1000)) == DUE
    done = cleanup.run("timeout")
    assert (done.status, done.rows) == ("succeeded", DUE), done
    check_each_once(cleanup, range(1, DUE + 1))
    assert cleanup.run("timeout").rows == 0


def test_bounds_are_kept(cleanup):
    make(cleanup)
    add_policy(cleanup)
    first = cleanup.run("timeout", max_rows=100)
    assert (first.status, first.rows) == ("partial", 100), first
    assert len(changed(cleanup)) == 100
    assert cleanup.run("timeout").rows == DUE - 100
    check_each_once(cleanup, range(1, DUE + 1))


def test_an_owner_who_may_not_log_in(cleanup):
    make(cleanup)
    cleanup.sql("CREATE ROLE update_runs_owner; ALTER TABLE c OWNER TO update_runs_owner; ALTER TABLE updates OWNER TO update_runs_owner;"
                " GRANT USAGE ON SCHEMA public TO update_runs_owner")
    try:
        add_policy(cleanup, set_values='{"status": "\'timeout\'", "reason": "current_user"}')
        done = cleanup.run("timeout")
        assert (done.status, done.rows) == ("succeeded", DUE), done
        assert cleanup.value("SELECT count(*) FROM c WHERE reason = 'update_runs_owner'") == DUE
        check_each_once(cleanup, range(1, DUE + 1))
    finally:
        cleanup.sql("DROP OWNED BY update_runs_owner; DROP ROLE update_runs_owner")


# -- converging -------------------------------------------------------------------------------------------------------


PUT_BACK = {
    "before": ("BEFORE UPDATE ON c FOR EACH ROW", "IF NEW.id = 500 THEN NEW.status := OLD.status; END IF; RETURN NEW;"),
    "after": ("AFTER UPDATE ON c FOR EACH ROW",
              "IF NEW.id = 500 AND NEW.status = 'timeout' THEN UPDATE c SET status = 'active' WHERE id = NEW.id; END IF; RETURN NULL;"),
    "after, twice": ("AFTER UPDATE ON c FOR EACH ROW",
                     "IF NEW.id = 500 AND NEW.status = 'timeout' THEN UPDATE c SET status = 'x' WHERE id = NEW.id;"
                     " UPDATE c SET status = 'active' WHERE id = NEW.id; END IF; RETURN NULL;"),
    "statement": ("AFTER UPDATE ON c FOR EACH STATEMENT",
                  "IF pg_trigger_depth() = 1 THEN UPDATE c SET status = 'active' WHERE id = 500; END IF; RETURN NULL;"),
    "deferred": ("AFTER UPDATE ON c DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
                 "IF NEW.id = 500 AND NEW.status = 'timeout' THEN UPDATE c SET status = 'active' WHERE id = NEW.id; END IF; RETURN NULL;"),
}


@pytest.mark.parametrize("how", list(PUT_BACK))
def test_a_row_that_a_trigger_puts_back_is_an_error(cleanup, how):
    make(cleanup)
    event, body = PUT_BACK[how]
    cleanup.sql(f"CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    cleanup.sql(f"CREATE {'CONSTRAINT ' if how == 'deferred' else ''}TRIGGER put_back {event} EXECUTE FUNCTION put_back()")
    add_policy(cleanup)
    done = cleanup.run("timeout")
    assert (done.status, done.rows) == ("failed", 0), done
    assert '"id": 500' in done.message and "due again" in done.message and "Hint:" in done.message, done
    check_each_once(cleanup, [])


def test_a_trigger_may_change_the_row_again(cleanup):
    """What counts is whether the row, as it is in the end, is due."""
    make(cleanup)
    cleanup.sql("""CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.reason NOT LIKE 'stamped%' THEN UPDATE c SET reason = 'stamped ' || id WHERE id = NEW.id; END IF; RETURN NULL; END $$""")
    cleanup.sql("CREATE TRIGGER stamp AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION stamp()")
    add_policy(cleanup)
    done = cleanup.run("timeout")
    assert (done.status, done.rows) == ("succeeded", DUE), done
    assert cleanup.value("SELECT count(*) FROM c WHERE status = 'timeout' AND reason = 'stamped ' || id") == DUE
    assert cleanup.run("timeout").rows == 0


def test_a_row_that_a_trigger_deletes_is_not_due_again(cleanup):
    make(cleanup)
    cleanup.sql("CREATE FUNCTION remove() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM c WHERE id = NEW.id; RETURN NULL; END'")
    cleanup.sql("CREATE TRIGGER remove AFTER UPDATE ON c FOR EACH ROW WHEN (NEW.id < 10) EXECUTE FUNCTION remove()")
    add_policy(cleanup)
    done = cleanup.run("timeout")
    assert (done.status, done.rows) == ("succeeded", DUE), done
    assert cleanup.value("SELECT count(*) FROM c") == DUE + YOUNG - 9


def test_only_a_later_row_does_not_converge(cleanup):
    """Batches before it stay committed, as of every run; the policy fails at it, again and again, and goes no further."""
    make(cleanup)
    cleanup.sql("UPDATE c SET reason = 'stays' WHERE id = 700; TRUNCATE updates")
    add_policy(cleanup, batch_size=50, set_values='{"status": "CASE WHEN reason = \'stays\' THEN status ELSE \'timeout\' END"}')
    assert any(warning.startswith("1 row would be due again") for warning in cleanup.dry_run("timeout").warnings)
    for _ in range(2):
        done = cleanup.run("timeout")
        assert done.status == "failed" and '"id": 700' in done.message, done
        assert 700 not in changed(cleanup)
        log = cleanup.row("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM updates")
        assert log.n == log.ids == len(changed(cleanup))


@pytest.mark.parametrize("condition", [
    "due_at < now()", "due_at < CURRENT_TIMESTAMP", "due_at::timestamp < LOCALTIMESTAMP",
    "EXISTS (SELECT FROM generate_series(1, 1) g WHERE due_at < transaction_timestamp() AND g = 1)"])
def test_a_time_that_is_set_to_now_is_past_a_moment_later(cleanup, condition):
    """Within the batch now() stands still: the next run would take every row again."""
    make(cleanup, columns=", due_at timestamptz DEFAULT now() - interval '1 hour'")
    add_policy(cleanup, condition=condition, set_values='{"due_at": "now()"}')
    assert any(f"{DUE} rows would be due again" in warning for warning in cleanup.dry_run("timeout").warnings)
    done = cleanup.run("timeout")
    assert done.status == "failed" and "due again" in done.message, done
    cleanup.alter_policy("timeout", condition=condition.replace("due_at", "(due_at + interval '1 day')"))
    cleanup.sql("UPDATE c SET due_at = due_at - interval '2 days'")
    assert cleanup.run("timeout").rows == DUE
    assert cleanup.run("timeout").rows == 0


def test_an_age_that_is_computed_from_what_is_set(cleanup):
    """Nobody is warned of rows that will not be due again."""
    cleanup.sql("CREATE TABLE c (id int, seen_at timestamp, due_at timestamp GENERATED ALWAYS AS (seen_at + interval '1 day') STORED)")
    cleanup.sql("INSERT INTO c SELECT n, '2020-01-01' FROM generate_series(1, 10) n")
    cleanup.add_policy("renew", "c", "due_at", "0", action="update", set_values='{"seen_at": "now()"}')
    assert cleanup.dry_run("renew").warnings == []
    assert [cleanup.run("renew").rows, cleanup.run("renew").rows] == [10, 0]


@pytest.mark.parametrize("named", [{}, {"keep_per": ["grp"]}])
def test_what_the_newest_are_found_by_is_not_set_on_the_way(cleanup, named):
    """Each update would make others the newest, and rows due that were to stay."""
    cleanup.sql("CREATE TABLE c (id int, at timestamp, n int, age timestamp GENERATED ALWAYS AS (at + interval '1 day') STORED,"
                " grp int GENERATED ALWAYS AS (n % 3) STORED, young timestamp DEFAULT '2020-01-01')")
    column, age = ("n", "young") if named else ("at", "age")
    with pytest.raises(Exception, match=f'set_values must not set "{column}" together with keep_last'):
        cleanup.add_policy("newest", "c", age, "1 day", action="update", condition="n > 0", set_values=f'{{"{column}": "NULL"}}', keep_last=3, **named)
    cleanup.add_policy("newest", "c", age, "1 day", action="update", condition="id > 0", set_values='{"id": "-id"}', keep_last=3, **named)


def test_many_columns_are_previewed(cleanup):
    columns = [f"c{n}" for n in range(120)]
    cleanup.sql(f"CREATE TABLE c (id int, at timestamptz, {', '.join(f'{column} int' for column in columns)})")
    cleanup.sql("INSERT INTO c (id, at, c0) VALUES (1, '2020-01-01', 1)")
    cleanup.add_policy("redact", "c", "at", "1 day", condition="c0 IS NOT NULL", action="update",
                       set_values="{" + ", ".join(f'"{column}": "NULL"' for column in columns) + "}")
    (row,) = cleanup.preview("redact")
    assert row.new_values == dict.fromkeys(columns)


def test_a_value_that_its_domain_refuses(cleanup):
    """The run leaves that row, so preview and dry run show the others."""
    cleanup.sql("CREATE DOMAIN small AS int CHECK (value < 5); CREATE TABLE c (id int, at timestamptz, n small)")
    cleanup.sql("INSERT INTO c SELECT n, '2020-01-01', 0 FROM generate_series(1, 5) n")
    cleanup.add_policy("count", "c", "at", "1 day", condition="n = 0", action="update", set_values='{"n": "id"}')
    assert cleanup.dry_run("count").warnings == []
    assert sorted(row.new_values["n"] for row in cleanup.preview("count")) == [1, 2, 3, 4, 5]
    done = cleanup.run("count")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", 4, 1), done


def test_the_condition_may_look_at_other_rows(cleanup):
    make(cleanup)
    cleanup.sql(f"CREATE TABLE keep AS SELECT g AS id FROM generate_series(1, {DUE}, 3) g")
    add_policy(cleanup, condition="status = 'active' AND NOT EXISTS (SELECT FROM keep k WHERE k.id = target.id)")
    expected = set(range(1, DUE + 1)) - set(range(1, DUE + 1, 3))
    assert cleanup.run("timeout").rows == len(expected)
    check_each_once(cleanup, expected)


# -- rows that stay ---------------------------------------------------------------------------------------------------


def test_rows_that_a_trigger_keeps_are_told(cleanup):
    make(cleanup)
    cleanup.sql("CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    cleanup.sql("CREATE TRIGGER veto BEFORE UPDATE ON c FOR EACH ROW WHEN (OLD.id % 100 = 0) EXECUTE FUNCTION veto()")
    add_policy(cleanup)
    done = cleanup.run("timeout")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - 9, 9), done
    skipped = cleanup.value("SELECT details -> 'skipped' FROM cleanup_audit WHERE run_id = %s AND event = 'run'", [done.run_id])
    assert [(one["reason"], one["rows"]) for one in skipped] == [("kept by a trigger", 9)], skipped
    check_each_once(cleanup, set(range(1, DUE + 1)) - set(range(100, DUE + 1, 100)))


@pytest.mark.parametrize("constraint", ["CHECK (status <> 'timeout' OR id % 300 <> 7)", "EXCLUDE (other WITH =)"])
def test_a_row_that_a_constraint_refuses_stays_alone(cleanup, constraint):
    make(cleanup, columns=", other int")
    cleanup.sql("UPDATE c SET other = id; TRUNCATE updates")
    cleanup.sql(f"ALTER TABLE c ADD CONSTRAINT refuses {constraint}")
    other = "CASE WHEN id % 300 = 7 THEN 950 ELSE id END"  # 950 is young, and there
    values = '{"status": "\'timeout\'", "other": "%s"}' % (other if "EXCLUDE" in constraint else "other")
    add_policy(cleanup, set_values=values)
    done = cleanup.run("timeout")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - 3, 3), done
    skipped = cleanup.value("SELECT details -> 'skipped' FROM cleanup_audit WHERE run_id = %s AND event = 'run'", [done.run_id])
    assert sum(one["rows"] for one in skipped) == 3 and all("refuses" in one["reason"] for one in skipped), skipped
    check_each_once(cleanup, set(range(1, DUE + 1)) - {7, 307, 607})


def test_locked_rows_are_left_and_taken_later(cleanup):
    make(cleanup)
    add_policy(cleanup)
    other = cleanup.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM c WHERE id BETWEEN 100 AND 119 FOR UPDATE")
    done = cleanup.run("timeout")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - 20, 20), done
    other.rollback()
    assert cleanup.run("timeout").rows == 20
    check_each_once(cleanup, range(1, DUE + 1))
    other.close()


@pytest.mark.parametrize("condition", ["status = 'active'", "status = 'active' AND (SELECT true)"])
def test_rows_that_are_being_referenced_are_no_obstacle(cleanup, condition):
    """Neither to a plain update nor to one that locks first."""
    make(cleanup)
    cleanup.sql("CREATE TABLE child (c_id int REFERENCES c)")
    add_policy(cleanup, condition=condition)
    other = cleanup.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute(f"INSERT INTO child SELECT g FROM generate_series(1, {DUE}) g")
    done = cleanup.run("timeout")
    assert (done.status, done.rows, done.skipped_rows) == ("succeeded", DUE, 0), done
    other.commit()
    other.close()
    check_each_once(cleanup, range(1, DUE + 1))


@pytest.mark.parametrize("batch_size", [None, 10])
def test_a_renewed_row_is_not_changed(cleanup, seed, batch_size):
    """While an application renews rows: what was renewed before its batch stays as it is."""
    make(cleanup)
    cleanup.sql("CREATE TABLE renewed (id int, at timestamptz)")
    add_policy(cleanup, batch_size=batch_size)
    stopped, busy, chance = threading.Event(), threading.Event(), random.Random(seed)
    connection = cleanup.connect(autocommit=False)
    errors = []

    def application():
        try:
            with connection.cursor() as cursor:
                while not stopped.is_set():
                    row = chance.randint(1, DUE)
                    cursor.execute("WITH w AS (UPDATE c SET seen_at = now() WHERE id = %s AND status = 'active' RETURNING id)"
                                   " INSERT INTO renewed SELECT id, now() FROM w", [row])
                    connection.commit() if chance.random() < 0.8 else connection.rollback()
                    busy.set()
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)
            busy.set()

    thread = threading.Thread(target=application, daemon=True)
    thread.start()
    busy.wait(60)
    done = cleanup.run("timeout")
    stopped.set()
    thread.join(60)
    connection.close()
    assert not errors, errors
    assert done.status in ("succeeded", "partial"), done
    # A row is changed only while it is old, and renewed only while it is active: so never both.
    assert cleanup.value("SELECT count(*) FROM c WHERE status = 'timeout' AND seen_at > now() - interval '1 day'") == 0
    assert cleanup.value("SELECT count(*) FROM renewed r JOIN c USING (id) WHERE c.status = 'timeout'") == 0
    cleanup.run("timeout")
    expected = {row.id for row in cleanup.rows(f"SELECT id FROM c WHERE id <= {DUE} AND NOT EXISTS (SELECT FROM renewed r WHERE r.id = c.id)")}
    assert changed(cleanup) == expected


# -- what the expressions mean ------------------------------------------------------------------------------------------


def test_values_keep_their_meaning_under_another_search_path(cleanup):
    """A function that stands before pg_catalog's in the owner's search_path is not called: the policy fails."""
    make(cleanup)
    cleanup.sql("CREATE SCHEMA evil; CREATE FUNCTION evil.repeat(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'evil' $$")
    add_policy(cleanup)
    cleanup.sql(f"ALTER ROLE postgres IN DATABASE {cleanup.dbname} SET search_path = evil, pg_catalog, public")
    check_refused_for_its_meaning(cleanup)


def test_conditions_keep_their_meaning_under_another_search_path(cleanup):
    make(cleanup)
    cleanup.sql("CREATE SCHEMA evil; CREATE FUNCTION evil.always(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
                " CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.always)")
    add_policy(cleanup, condition="status = 'nothing'", set_values='{"status": "NULL"}')
    cleanup.sql(f"ALTER ROLE postgres IN DATABASE {cleanup.dbname} SET search_path = evil, pg_catalog, public")
    check_refused_for_its_meaning(cleanup)


def check_refused_for_its_meaning(cleanup):
    done = cleanup.run("timeout")
    assert done.status == "failed" and "means something else" in done.message, done
    for look in (cleanup.dry_run, cleanup.preview):
        with pytest.raises(Exception, match="means something else"):
            look("timeout")
    check_each_once(cleanup, [])


@pytest.mark.parametrize("change, what", [
    ("ALTER TABLE c RENAME COLUMN reason TO why", "reason"),
    ("ALTER TABLE c ALTER reason TYPE varchar(1000)", "reason"),
    ("ALTER TABLE c DROP COLUMN reason", "reason"),
    ("CREATE OR REPLACE FUNCTION say() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'no' $$", "say()"),
    ("CREATE TABLE child (r text REFERENCES c (reason))", "child"),
])
def test_a_change_of_what_it_refers_to_breaks_the_policy(cleanup, change, what):
    make(cleanup)
    cleanup.sql("UPDATE c SET reason = id; ALTER TABLE c ADD UNIQUE (reason); TRUNCATE updates;"
                " CREATE FUNCTION say() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'yes' $$")
    add_policy(cleanup, set_values='{"status": "\'timeout\'", "reason": "say() || id"}')
    assert cleanup.value("SELECT state FROM cleanup_policy_states('timeout')") == "ready"
    cleanup.sql(change)
    state = cleanup.row("SELECT state, reason FROM cleanup_policy_states('timeout')")
    assert state.state == "broken" and what in state.reason, state
    with pytest.raises(Exception, match="is broken"):
        cleanup.run("timeout")
    check_each_once(cleanup, [])


def test_policies_move_with_their_values(cleanup):
    """Exported, imported, set by hand, and inserted as a restore does."""
    make(cleanup)
    add_policy(cleanup, set_values='{"status": "\'timeout\'", "reason": "policy || retain"}')
    exported = cleanup.value("SELECT cleanup_export_policies()::text")
    values = cleanup.value("SELECT set_values FROM cleanup_policies")
    assert values == {"status": "'timeout'::text", "reason": "(run.policy || run.retain)"}
    cleanup.drop_policy("timeout")
    cleanup.sql("SELECT cleanup_import_policies(%s)", [exported])
    assert cleanup.value("SELECT cleanup_export_policies()::text") == exported
    cleanup.sql("""UPDATE cleanup_policies SET set_values = '{"status": "''timeout''", "reason": "policy"}'""")
    assert cleanup.value("SELECT set_values ->> 'reason' FROM cleanup_policies") == "run.policy"
    with pytest.raises(Exception, match="does not exist"):
        cleanup.sql("""UPDATE cleanup_policies SET set_values = '{"nothing": "NULL"}'""")
    with pytest.raises(Exception, match="needs set_values"):
        cleanup.sql("UPDATE cleanup_policies SET set_values = NULL")
    cleanup.sql("CREATE TABLE stored AS SELECT * FROM cleanup_policies; DELETE FROM cleanup_policies; INSERT INTO cleanup_policies SELECT * FROM stored")
    assert cleanup.value("SELECT state FROM cleanup_policy_states('timeout')") == "ready"
    assert cleanup.run("timeout").rows == DUE
    assert cleanup.value("SELECT count(*) FROM c WHERE reason = 'timeout'") == DUE
