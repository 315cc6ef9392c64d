"""The action archive, archive tables, and cleanup_restore, on one table."""

import pytest
from psycopg2 import errors

from archives import archived, contents, refused, restore
from surface import Background, Cleanup

DUE, YOUNG = 300, 50


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


@pytest.fixture
def events(cleanup):
    cleanup.sql("CREATE TABLE events (id int PRIMARY KEY, at timestamptz, kind text)")
    cleanup.sql("INSERT INTO events SELECT n, now() - CASE WHEN n <= %s THEN interval '60 days' ELSE interval '1 day' END,"
                " 'kind ' || n %% 3 FROM generate_series(1, %s) n", [DUE, DUE + YOUNG])
    cleanup.sql("ANALYZE events")
    cleanup.add_policy("events", "events", "at", "30 days", action="archive")
    return cleanup


def test_archive_and_restore(events):
    before = contents(events, "events")
    done = events.run("events")
    assert (done.status, done.rows, done.action) == ("succeeded", DUE, "archive"), done
    assert events.value("SELECT count(*) FROM events") == YOUNG
    assert archived(events, "events_archive") == DUE
    row = events.row("SELECT * FROM events_archive WHERE id = 7")
    assert (row.kind, row.cleanup_run_id, row.cleanup_changed) == ("kind 1", done.run_id, None)
    assert events.value("SELECT max(cleanup_archived_at) <= now() FROM events_archive")
    tables, conflicts = restore(events, done.run_id)
    assert (tables["events"].rows, tables["events"].status, conflicts) == (DUE, "succeeded", []), tables
    assert contents(events, "events") == before
    assert archived(events, "events_archive") == 0
    run = events.run_row(tables["events"].run_id)
    assert (run.trigger, run.status, run.request["restored_run"]) == ("manual", "succeeded", done.run_id)
    audit = events.row("SELECT * FROM cleanup_audit WHERE event = 'restore'")
    assert (audit.rows, audit.run_id, audit.details["restored_run"]) == (DUE, run.run_id, done.run_id)
    # What came back is no work of the policy's: its sums are of deletions.
    assert events.value("SELECT rows FROM cleanup_stats('events')") == DUE
    # It is due again.
    assert events.run("events").rows == DUE


def test_restore_some(events):
    done = events.run("events")
    tables, conflicts = restore(events, done.run_id, "events", "kind = 'kind 2' AND id < 100")
    assert tables["events"].rows == 33 and not conflicts
    assert events.value("SELECT count(*) FROM events WHERE id < 100 AND kind = 'kind 2'") == 33
    assert archived(events, "events_archive") == DUE - 33
    tables, conflicts = restore(events, done.run_id)
    assert tables["events"].rows == DUE - 33 and not conflicts


def test_conflicts_stay_archived(events):
    events.sql("ALTER TABLE events ADD CHECK (id <> 20) NOT VALID; ALTER TABLE events ADD UNIQUE (kind, id)")
    done = events.run("events")
    events.sql("INSERT INTO events VALUES (10, now(), 'new'), (11, now(), 'new')")
    tables, conflicts = restore(events, done.run_id)
    assert {(row.row_key["id"], row.name) for row in conflicts} == {(10, "events"), (11, "events"), (20, "events")}
    assert "events_pkey" in next(row.message for row in conflicts if row.row_key["id"] == 10)
    assert "events_id_check" in next(row.message for row in conflicts if row.row_key["id"] == 20)
    total = tables["events"]
    assert (total.rows, total.conflicts, total.status) == (DUE - 3, 3, "partial"), total
    assert [row.id for row in events.rows("SELECT id FROM events_archive ORDER BY 1")] == [10, 11, 20]
    assert events.value("SELECT kind FROM events WHERE id = 10") == "new"
    details = events.value("SELECT details FROM cleanup_audit WHERE event = 'restore'")
    assert sum(reason["rows"] for reason in details["conflicts"]) == 3
    # When the place is free again, the rest comes back.
    events.sql("DELETE FROM events WHERE id IN (10, 11); ALTER TABLE events DROP CONSTRAINT events_id_check")
    tables, conflicts = restore(events, done.run_id)
    assert tables["events"].rows == 3 and not conflicts


def test_archive_to(events):
    events.sql("CREATE SCHEMA old")
    events.alter_policy("events", archive_to="old.\"Old Events\"")
    assert events.run("events").rows == DUE
    assert archived(events, 'old."Old Events"') == DUE
    assert events.value("SELECT to_regclass('events_archive')") is None
    refused(events, "SELECT cleanup_alter_policy('events', archive_to => 'a.b.c')", "archive_to", code="42602")
    refused(events, "SELECT cleanup_alter_policy('events', action => 'delete')", "archive_to", "delete", code="22023")
    refused(events, "SELECT cleanup_alter_policy('events', archive_to => 'events')", "events", code="42P07")


def test_tables_of_others_are_refused(events):
    events.sql("CREATE TABLE events_archive (LIKE events)")
    row = events.run("events")
    assert row.status == "failed" and "no archive of public.events that pg_cleanup made" in row.message, row
    assert events.value("SELECT count(*) FROM events") == DUE + YOUNG
    refused(events, "SELECT cleanup_alter_policy('events', retain => '40 days')", "events_archive", code="42P07")
    events.sql("DROP TABLE events_archive")
    assert events.run("events").rows == DUE


def test_clashing_column(cleanup):
    cleanup.sql("CREATE TABLE t (id int, at timestamptz, cleanup_run_id int)")
    refused(cleanup, "SELECT cleanup_add_policy('t', 't', 'at', '30 days', action => 'archive')", "cleanup_run_id", code="42701")


def test_added_column_and_changed_type(events):
    first = events.run("events", max_rows=100)
    assert first.rows == 100
    events.sql("ALTER TABLE events ADD COLUMN note text NOT NULL DEFAULT 'none', ADD COLUMN gone int")
    second = events.run("events", max_rows=100)
    assert second.rows == 100, second
    assert events.value("SELECT count(note) FROM events_archive WHERE cleanup_run_id = %s", [second.run_id]) == 100
    events.sql("ALTER TABLE events DROP COLUMN gone")
    # What was archived without the column gets its default.
    assert restore(events, first.run_id)[0]["events"].rows == 100
    assert restore(events, second.run_id)[0]["events"].rows == 100
    assert events.value("SELECT count(*) FROM events WHERE note = 'none'") == DUE + YOUNG
    third = events.run("events", max_rows=10)
    events.sql("ALTER TABLE events ALTER COLUMN kind TYPE varchar(20)")
    row = events.run("events")
    assert row.status == "failed" and "kind" in row.message or "archive" in row.message, row
    refused(events, "SELECT cleanup_restore(%s)", "kind", "varying", code="42804", params=[third.run_id])
    events.sql("ALTER TABLE events_archive ALTER COLUMN kind TYPE varchar(20)")
    assert restore(events, third.run_id)[0]["events"].rows == 10


def test_renamed_table_keeps_its_archive(events):
    first = events.run("events", max_rows=100)
    events.sql("ALTER TABLE events RENAME TO happenings")
    assert events.run("events").rows == DUE - 100
    assert archived(events, "events_archive") == DUE
    assert restore(events, first.run_id)[0]["happenings"].rows == 100


def test_columns_of_all_kinds(cleanup):
    cleanup.sql("""
        CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0);
        CREATE TYPE mood AS ENUM ('sad', 'happy');
        CREATE TYPE pair AS (a int, b text);
        CREATE TABLE kinds (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, at timestamptz NOT NULL, serial serial,
          p positive, m mood, c pair, a int[], n numeric(10, 2), v varchar(7), "Odd ""name" text COLLATE "C", j json, b bytea,
          doubled numeric GENERATED ALWAYS AS (n * 2) STORED, tags text[] DEFAULT '{x}', r int4range, u uuid DEFAULT gen_random_uuid(),
          EXCLUDE USING gist (r WITH &&));
        INSERT INTO kinds (at, p, m, c, a, n, v, "Odd ""name", j, b, tags, r)
          SELECT now() - interval '60 days', n, CASE n % 2 WHEN 0 THEN 'sad'::mood END, ROW(n::int, ('it''s ' || n)::text)::pair, ARRAY[n, NULL], n / 3.0,
            'v' || n, E'a\\nb' || n, '{"a":  1}', '\\x00ff', CASE WHEN n % 5 > 0 THEN ARRAY['t'] END, int4range(n, n + 1)
          FROM generate_series(1, 40) n;
        ALTER TABLE kinds DROP COLUMN gone;
        """)
    cleanup.add_policy("kinds", "kinds", "at", "30 days", action="archive")
    before = contents(cleanup, "kinds")
    sequence = cleanup.value("SELECT last_value FROM kinds_id_seq")
    done = cleanup.run("kinds")
    assert (done.status, done.rows) == ("succeeded", 40), done
    assert cleanup.rows("SELECT 1 FROM pg_attribute WHERE attrelid = 'kinds_archive'::regclass AND (attnotnull OR atthasdef OR attgenerated <> '')"
                        " AND attnum > 0") == []
    # A place that an exclusion constraint sees as taken, too.
    cleanup.sql("INSERT INTO kinds (at, p, r) VALUES (now(), 1, '[3,5)')")
    tables, conflicts = restore(cleanup, done.run_id)
    assert {row.row_key["id"] for row in conflicts} == {3, 4} and tables["kinds"].rows == 38
    cleanup.sql("DELETE FROM kinds WHERE p = 1 AND m IS NULL AND c IS NULL")
    assert restore(cleanup, done.run_id)[0]["kinds"].rows == 2
    assert contents(cleanup, "kinds") == before
    assert cleanup.value("SELECT last_value FROM kinds_id_seq") == sequence + 1
    assert cleanup.value("SELECT count(*) FROM kinds WHERE doubled = n * 2") == 40


def test_partitioned_target(cleanup):
    cleanup.sql("""
        CREATE TABLE p (id int, at timestamptz, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a');
        CREATE TABLE p_b (region text NOT NULL, id int NOT NULL, at timestamptz, PRIMARY KEY (id, region));
        ALTER TABLE p ATTACH PARTITION p_b FOR VALUES IN ('b');
        CREATE TABLE p_c PARTITION OF p FOR VALUES IN ('c');
        INSERT INTO p SELECT n, now() - interval '60 days', (ARRAY['a', 'b', 'c'])[1 + n % 3] FROM generate_series(1, 90) n
        """)
    cleanup.add_policy("p", "p", "at", "30 days", action="archive", partitions="rows")
    before = contents(cleanup, "p")
    done = cleanup.run("p")
    assert (done.status, done.rows) == ("succeeded", 90), done
    assert archived(cleanup, "p_archive") == 90
    cleanup.sql("DROP TABLE p_c")
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["p"].rows == 60 and len(conflicts) == 30
    assert all("no partition" in row.message for row in conflicts)
    cleanup.sql("CREATE TABLE p_d PARTITION OF p DEFAULT")
    assert restore(cleanup, done.run_id)[0]["p"].rows == 30
    assert contents(cleanup, "p") == before


def test_triggers(events):
    """One that keeps rows of the table in it or out of it, one that keeps rows out of the archive."""
    events.sql("""
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN IF TG_OP = 'DELETE' AND OLD.id <= 5 OR TG_OP = 'INSERT' AND NEW.id = 9 THEN RETURN NULL; END IF;
          RETURN CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END; END $$;
        CREATE TRIGGER keep BEFORE INSERT OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION keep()""")
    done = events.run("events")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", DUE - 5, 5), done
    assert archived(events, "events_archive") == DUE - 5
    tables, conflicts = restore(events, done.run_id)
    assert [row.row_key["id"] for row in conflicts] == [9] and "trigger" in conflicts[0].message
    assert tables["events"].rows == DUE - 6
    events.sql("CREATE TRIGGER out BEFORE INSERT ON events_archive FOR EACH ROW EXECUTE FUNCTION keep()")
    events.sql("DROP TRIGGER keep ON events; INSERT INTO events VALUES (9, now() - interval '60 days', 'x')")
    row = events.run("events")
    assert (row.status, row.skipped_rows) == ("partial", 1), row
    assert [row.id for row in events.rows("SELECT id FROM events WHERE at < now() - interval '30 days'")] == [9]


def test_privileges(shared_server, db):
    admin = Cleanup(shared_server, db)
    admin.sql("""DO $$ BEGIN CREATE ROLE archive_owner LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$""")
    admin.sql("""DO $$ BEGIN CREATE ROLE archive_other LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$""")
    admin.sql("""CREATE SCHEMA app AUTHORIZATION archive_owner;
                 ALTER DEFAULT PRIVILEGES FOR ROLE archive_owner GRANT ALL ON TABLES TO archive_other, PUBLIC;
                 SET ROLE archive_owner; CREATE TABLE app.t (id int PRIMARY KEY, at timestamptz);
                 INSERT INTO app.t SELECT n, now() - interval '60 days' FROM generate_series(1, 20) n; RESET ROLE""")
    admin.sql("SELECT cleanup_grant('archive_other', 'operator'); SELECT cleanup_grant('archive_owner', 'owner')")
    try:
        admin.add_policy("t", "app.t", "at", "30 days", action="archive")
        done = admin.run("t")
        assert (done.status, done.rows) == ("succeeded", 20), done
        found = admin.row("SELECT relowner::regrole::text AS owner, relacl::text AS acl FROM pg_class WHERE oid = 'app.t_archive'::regclass")
        assert found.owner == "archive_owner" and "archive_other" not in (found.acl or "") and "=r" not in (found.acl or "").replace("archive_owner=", "")
        other = Cleanup(shared_server, db, "archive_other")
        refused(other, "SELECT * FROM cleanup_restore(%s)", "permission denied", code="42501", params=[done.run_id])
        admin.sql("SELECT cleanup_grant('archive_other', 'admin', 't')")
        refused(other, "SELECT * FROM cleanup_restore(%s, NULL, 'true')", "permission denied", code="42501", params=[done.run_id])
        assert other.rows("SELECT * FROM cleanup_archives")[0].policy == "t"
        owner = Cleanup(shared_server, db, "archive_owner")
        assert restore(owner, done.run_id, "t", "id > 10")[0]["app.t"].rows == 10
        assert restore(other, done.run_id)[0]["app.t"].rows == 10
        other.close()
        owner.close()
    finally:
        admin.sql("DROP OWNED BY archive_owner CASCADE; DROP OWNED BY archive_other CASCADE")
        admin.sql("SELECT cleanup_revoke(role, level, policy) FROM cleanup_grants")
        admin.close()


def test_bad_input(events):
    events.sql("CREATE TABLE other (id int, at timestamptz); INSERT INTO other VALUES (1, now() - interval '60 days')")
    events.add_policy("other", "other", "at", "30 days")
    done = events.run("events")
    deleted = events.run("other")
    everything = contents(events, "events", "events_archive", "cleanup_runs", "cleanup_run_targets")
    for query, params, words, code in (
            ("SELECT cleanup_restore(NULL)", None, ("NULL",), "22004"),
            ("SELECT cleanup_restore(4711)", None, ("4711",), "42704"),
            ("SELECT cleanup_restore(4711, 'events')", None, ("4711", "no such run"), "55000"),
            ("SELECT cleanup_restore(%s, 'nope')", [done.run_id], ("nope",), "42704"),
            ("SELECT cleanup_restore(%s, 'other')", [done.run_id], ("not part of run",), "22023"),
            ("SELECT cleanup_restore(%s)", [deleted.run_id], ("archived nothing", "delete"), "55000"),
            ("SELECT cleanup_restore(%s, 'other')", [deleted.run_id], ("archived nothing", "delete"), "55000"),
            ("SELECT cleanup_restore(%s, NULL, 'nope = 1')", [done.run_id], ("nope",), "42703"),
            ("SELECT cleanup_restore(%s, NULL, 'random() > 0')", [done.run_id], ("volatile",), "0A000"),
            ("SELECT cleanup_restore(%s, NULL, 'id')", [done.run_id], ("boolean",), "42804"),
            ("SELECT cleanup_restore(%s, NULL, 'true; DROP TABLE events')", [done.run_id], ("syntax",), "42601"),
            ("BEGIN; CREATE TEMP TABLE x (); SELECT cleanup_restore(%s); COMMIT", [done.run_id], ("cleanup_restore",), "25001")):
        refused(events, query, *words, code=code, params=params)
        events.rows("ROLLBACK")
        assert contents(events, "events", "events_archive", "cleanup_runs", "cleanup_run_targets") == everything, query
    restore(events, done.run_id)
    error = refused(events, "SELECT cleanup_restore(%s)", "no archived rows left", "restored by run", code="55000", params=[done.run_id])
    assert error.diag.message_hint is None or error.diag.message_hint
    done = events.run("events")
    events.sql("ALTER TABLE events_archive RENAME COLUMN cleanup_changed TO c")
    refused(events, "SELECT cleanup_restore(%s)", "cleanup_changed", code="42804", params=[done.run_id])
    events.sql("DROP TABLE events_archive")
    refused(events, "SELECT cleanup_restore(%s)", "events_archive", "not there", code="42P01", params=[done.run_id])
    # The next run makes it anew.
    events.sql("INSERT INTO events VALUES (2000, now() - interval '60 days', 'x')")
    assert events.run("events").rows == 1 and archived(events, "events_archive") == 1


def test_archive_retain(events):
    """Rows go from the archive when they were there for long enough, each policy's own, and both is written down."""
    events.alter_policy("events", batch_size=100)
    first = events.run("events", max_rows=200)
    events.sql("UPDATE events_archive SET cleanup_archived_at = now() - interval '8 days' WHERE id <= 150")
    events.sql("INSERT INTO events_archive SELECT 9999, at, kind, 1, 4711, now() - interval '1 year' FROM events LIMIT 1")
    expected = events.value("SELECT count(*) FROM events_archive WHERE id <= 150")
    assert expected > 0
    second = events.run("events")
    assert (second.status, second.rows) == ("succeeded", DUE - 200), second
    record = events.row("SELECT * FROM cleanup_run_targets WHERE kind = 'archive' AND run_id = %s", [second.run_id])
    assert (record.table_name, record.status, record.rows) == ("public.events_archive", "succeeded", expected), record
    assert record.batches >= 1
    audit = events.row("SELECT * FROM cleanup_audit WHERE event = 'archive_retention' AND run_id = %s", [second.run_id])
    assert (audit.rows, audit.target, audit.policy) == (expected, "public.events_archive", "events"), audit
    assert events.value("SELECT count(*) FROM events_archive WHERE id = 9999") == 1
    assert archived(events, "events_archive") == DUE + 1 - expected
    assert events.value("SELECT rows FROM cleanup_stats('events')") == DUE
    assert events.run_row(first.run_id).status == "partial" and events.run_row(second.run_id).status == "succeeded"


def test_archive_retain_for_ever(events):
    assert events.value("SELECT archive_retain::text FROM cleanup_policies") == "7 days"
    events.alter_policy("events", clear=["archive_retain"])
    events.run("events", max_rows=10)
    events.sql("UPDATE events_archive SET cleanup_archived_at = now() - interval '100 years'")
    done = events.run("events")
    assert archived(events, "events_archive") == DUE
    assert events.value("SELECT count(*) FROM cleanup_run_targets WHERE kind = 'archive' AND run_id = %s", [done.run_id]) == 0
    # Also through an export and import, where leaving it out means the default.
    exported = events.value("SELECT cleanup_export_policies()::text")
    events.rows("SELECT cleanup_import_policies(%s, true)", [exported])
    assert events.value("SELECT archive_retain FROM cleanup_policies") is None
    events.rows("SELECT cleanup_add_policy('ever', 'events', 'at', '90 days', archive_retain => NULL)")
    assert events.value("SELECT archive_retain FROM cleanup_policies WHERE policy = 'ever'") is None


def test_renamed_column_is_not_lost(events):
    first = events.run("events", max_rows=10)
    events.sql("ALTER TABLE events RENAME COLUMN kind TO sort")
    refused(events, "SELECT cleanup_restore(%s)", "sort", "kind", code="42804", params=[first.run_id])
    row = events.run("events", max_rows=10)
    assert row.status == "failed" and "cannot take in rows" in row.message, row
    events.sql("ALTER TABLE events_archive RENAME COLUMN kind TO sort")
    assert events.run("events", max_rows=10).rows == 10
    assert restore(events, first.run_id)[0]["events"].rows == 10
    assert events.value("SELECT count(sort) FROM events") == DUE + YOUNG - 10
    # One that went, and another that came behind others, are no renamed column.
    events.sql("ALTER TABLE events ADD COLUMN a int, ADD COLUMN b int")
    assert events.run("events", max_rows=10).rows == 10
    events.sql("ALTER TABLE events DROP COLUMN a, ADD COLUMN c int")
    assert events.run("events", max_rows=10).rows == 10
    # With another type as well; and where the archive has another order than the table.
    events.sql("ALTER TABLE events DROP COLUMN sort, ADD COLUMN sort text")
    events.sql("ALTER TABLE events RENAME COLUMN c TO d; ALTER TABLE events ALTER COLUMN d TYPE bigint")
    row = events.run("events", max_rows=10)
    assert row.status == "failed" and '"c"' in refused(events, "SELECT cleanup_restore(%s)", "d", code="42804", params=[
        first.run_id + 2]).diag.message_detail, row


def test_identity_column_that_came_later(events):
    first = events.run("events", max_rows=10)
    events.sql("ALTER TABLE events ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY")
    assert events.run("events", max_rows=10).rows == 10
    tables, conflicts = restore(events, first.run_id)
    assert tables["events"].rows == 10 and not conflicts
    assert events.value("SELECT count(DISTINCT number) FROM events") == DUE + YOUNG - 10


def test_value_of_added_column_when_the_clock_went_back(events):
    events.run("events", max_rows=10)
    events.sql("ALTER TABLE events ADD COLUMN note text DEFAULT 'none'")
    events.sql("UPDATE events SET note = 'mine'")
    second = events.run("events", max_rows=10)
    # As if the clock had been an hour ahead when the column came.
    events.sql("UPDATE cleanup_archives SET added_columns = jsonb_build_object('note', now() + interval '1 hour')")
    assert restore(events, second.run_id)[0]["events"].rows == 10
    assert events.value("SELECT count(*) FROM events WHERE note = 'mine'") == DUE + YOUNG - 10


def test_some_rows_of_a_later_archive(events):
    events.run("events", max_rows=10)
    events.sql("SELECT cleanup_alter_policy('events', archive_to => 'elsewhere')")
    second = events.run("events", max_rows=10)
    tables, conflicts = restore(events, second.run_id, "events", "id > 0")
    assert tables["events"].rows == 10 and archived(events, "elsewhere") == 0 and not conflicts


def test_rows_are_not_in_the_audit(cleanup):
    """The audit outlives archive_retain: it must not keep what the rows held."""
    cleanup.sql("CREATE TABLE letters (at timestamptz, content text)")
    cleanup.sql("INSERT INTO letters SELECT now() - interval '60 days', 'secret ' || n FROM generate_series(1, 3) n")
    cleanup.add_policy("letters", "letters", "at", "30 days", action="archive")
    done = cleanup.run("letters")
    cleanup.sql("ALTER TABLE letters ADD CHECK (content <> 'secret 2')")
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["letters"].rows == 2
    assert "letters_content_check" in conflicts[0].message and "secret" not in conflicts[0].message
    details = cleanup.value("SELECT details FROM cleanup_audit WHERE event = 'restore'")
    assert "letters_content_check" in str(details) and "secret" not in str(details), details


def test_nothing_takes_the_archives_place_during_a_batch(events):
    """A batch knows its archive by name: that cannot become another table's between a look at it and the rows' arrival."""
    events.run("events", max_rows=1)
    events.sql("""CREATE FUNCTION is_open(int) RETURNS bool STABLE LANGUAGE plpgsql AS $$
        BEGIN
          IF EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relation = 'events'::regclass) THEN
            PERFORM pg_advisory_xact_lock_shared(77);
          END IF;
          RETURN true;
        END $$""")
    events.alter_policy("events", condition="is_open(id)")
    events.sql("SELECT pg_advisory_lock(77)")
    events.sql("SET pg_cleanup.batch_target_ms = '60s'")
    run_id = events.start("events")
    events.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted", what="a batch at the gate")
    other = events.connect()
    with other.cursor() as cursor, pytest.raises(errors.LockNotAvailable):
        cursor.execute("SET lock_timeout = '100ms'; ALTER TABLE events_archive RENAME TO elsewhere")
    other.close()
    events.sql("SELECT pg_advisory_unlock(77)")
    assert events.wait_for_run(run_id).status == "succeeded"
    assert archived(events, "events_archive") == DUE


def in_the_middle_of_a_restore(events, run_id, change):
    """What the restore did; the change waits for a batch, and comes before the next one."""
    events.sql("""CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.id = 20000 THEN PERFORM pg_advisory_xact_lock_shared(79); END IF; RETURN NEW; END $$;
        CREATE TRIGGER gate BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION gate();
        SELECT pg_advisory_lock(79)""")
    others = [Cleanup(events.server, events.dbname) for _ in range(2)]
    restored = Background(restore, others[0], run_id)
    events.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 79 AND NOT granted", what="a batch at the gate")
    changed = Background(others[1].sql, change)
    events.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE relation IN ('events'::regclass, 'events_archive'::regclass) AND NOT granted",
                      what="the change behind it")
    events.sql("SELECT pg_advisory_unlock(79)")
    changed.result()
    done = restored.result()
    for other in others:
        other.close()
    return done


@pytest.mark.parametrize("table, rows", [("events", ""), ("events_archive", "INSERT INTO events_archive SELECT id + 100000, at, kind,"
                                                          " cleanup_run_id, cleanup_policy_id, now() FROM before;")])
def test_table_in_the_place_of_another_during_a_restore(events, table, rows):
    """What is restored comes from the archive, and goes to the table, that they were when it began."""
    events.sql("TRUNCATE events; INSERT INTO events SELECT n, now() - interval '60 days', repeat('x', 60) FROM generate_series(1, 40000) n")
    run_id = events.run("events").run_id
    tables, conflicts = in_the_middle_of_a_restore(events, run_id, f"""
        BEGIN; LOCK TABLE {table}; ALTER TABLE {table} RENAME TO before; CREATE TABLE {table} (LIKE before INCLUDING ALL); {rows} COMMIT""")
    (done,) = tables.values()
    assert (done.rows, done.status, conflicts) == (40000, "succeeded", []), done
    assert events.value("SELECT count(*) FROM events WHERE id > 100000") == 0
    assert events.value("SELECT count(*) FROM before") == (40000 if table == "events" else 0)


def test_schema_with_another_name_during_a_restore(events):
    events.sql("TRUNCATE events; INSERT INTO events SELECT n, now() - interval '60 days', repeat('x', 60) FROM generate_series(1, 40000) n")
    events.sql("CREATE SCHEMA app; CREATE SCHEMA next; CREATE TABLE next.events (LIKE events INCLUDING ALL); ALTER TABLE events SET SCHEMA app;"
               "SET search_path = app, public")
    run_id = events.run("events").run_id
    events.sql("""CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.id = 20000 THEN PERFORM pg_advisory_xact_lock_shared(79); END IF; RETURN NEW; END $$;
        CREATE TRIGGER swap BEFORE INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION swap(); SELECT pg_advisory_lock(79)""")
    other = Cleanup(events.server, events.dbname)
    restored = Background(restore, other, run_id)
    events.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 79 AND NOT granted", what="a batch at the gate")
    events.sql("ALTER SCHEMA app RENAME TO before; ALTER SCHEMA next RENAME TO app; SELECT pg_advisory_unlock(79)")
    tables, conflicts = restored.result()
    assert [row.rows for row in tables.values()] == [40000] and not conflicts, tables
    assert events.value("SELECT count(*) FROM app.events") == 0
    other.close()


def test_condition_over_another_table(events):
    """Of a policy whose target was another table when it archived."""
    first = events.run("events")
    events.sql("CREATE TABLE visits (id int, at timestamptz); SELECT cleanup_alter_policy('events', target => 'visits')")
    refused(events, "SELECT cleanup_restore(%s, 'events', 'id < 10')", "archived no rows of", code="22023", params=[first.run_id])
    assert restore(events, first.run_id)[0]["events"].rows == DUE
