"""The action archive where rows belong together: children, references set to NULL, circles, relations, conflicts, kills."""

import psycopg2
import pytest

from archives import archived, contents, refused, restore
from slow_run import SlowRun
from surface import Cleanup


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


@pytest.fixture
def family(cleanup):
    """Customers, orders, items and notes, three levels deep, with references that are set to NULL or a default."""
    cleanup.sql("""
        CREATE TABLE customer (id int PRIMARY KEY, at timestamptz, name text);
        CREATE TABLE purchase (id int PRIMARY KEY, customer_id int REFERENCES customer ON DELETE CASCADE);
        CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, purchase_id int REFERENCES purchase ON DELETE CASCADE,
                           other_id int REFERENCES purchase ON DELETE CASCADE, n int);
        CREATE TABLE note (id int PRIMARY KEY, item_id int REFERENCES item ON DELETE CASCADE, words text);
        CREATE TABLE visit (id int PRIMARY KEY, customer_id int REFERENCES customer ON DELETE SET NULL,
                            purchase_id int DEFAULT 1000 REFERENCES purchase ON DELETE SET DEFAULT, seen text);
        CREATE INDEX ON purchase (customer_id); CREATE INDEX ON item (purchase_id); CREATE INDEX ON item (other_id);
        CREATE INDEX ON note (item_id); CREATE INDEX ON visit (customer_id); CREATE INDEX ON visit (purchase_id);
        INSERT INTO customer SELECT n, now() - CASE WHEN n <= 60 THEN interval '60 days' ELSE interval '1 day' END, 'c' || n
          FROM generate_series(1, 70) n;
        INSERT INTO purchase SELECT n, 1 + (n - 1) / 2 FROM generate_series(1, 140) n;
        INSERT INTO purchase VALUES (1000, NULL);
        INSERT INTO item (purchase_id, other_id, n) SELECT 1 + n % 140, CASE WHEN n % 3 = 0 THEN 1 + (n * 7) % 140 END, n
          FROM generate_series(1, 400) n;
        INSERT INTO note SELECT n, n, 'words ' || n FROM generate_series(1, 400) n;
        INSERT INTO visit SELECT n, 1 + n % 70, 1 + n % 140, 'seen ' || n FROM generate_series(1, 200) n;
        ANALYZE""")
    cleanup.add_policy("customers", "customer", "at", "30 days", action="archive")
    return cleanup


TABLES = ("customer", "purchase", "item", "note", "visit")


def test_three_levels_and_back(family):
    before = contents(family, *TABLES)
    done = family.run("customers")
    assert (done.status, done.rows) == ("succeeded", 60), done
    gone = {table: len(before[table]) - family.value(f"SELECT count(*) FROM {table}") for table in TABLES}
    assert gone["purchase"] == 120 and gone["item"] > 300 and gone["note"] == gone["item"] and gone["visit"] == 0
    for table in ("customer", "purchase", "item", "note"):
        assert family.value(f"SELECT count(*) FROM {table}_archive WHERE cleanup_changed IS NULL") == gone[table]
    assert family.value("SELECT count(DISTINCT id) FROM visit_archive WHERE cleanup_changed IS NOT NULL") > 100
    assert family.value("SELECT count(*) FROM visit WHERE customer_id IS NULL") > 100
    tables, conflicts = restore(family, done.run_id)
    assert conflicts == [], conflicts
    assert contents(family, *TABLES) == before
    assert {name: row.rows for name, row in tables.items()} == gone
    assert tables["visit"].reset_references > 100
    assert all(archived(family, f"{table}_archive") == 0 for table in TABLES)
    # A row of its own for each table, next to those of the run.
    rows = family.rows("SELECT table_name, rows FROM cleanup_run_targets WHERE kind = 'restore'")
    assert {row.table_name.removeprefix("public."): row.rows for row in rows} == gone


def test_some_with_what_belongs_to_them(family):
    """By condition: only those rows of the target; a child that another parent takes along needs that one, too."""
    family.sql("UPDATE item SET other_id = NULL WHERE NOT (purchase_id IN (1, 3) AND other_id IS NOT NULL)")
    family.sql("UPDATE item SET other_id = 9 WHERE purchase_id = 3")
    done = family.run("customers")
    tables, conflicts = restore(family, done.run_id, "customers", "id = 1")
    assert tables["customer"].rows == 1 and tables["purchase"].rows == 2
    assert family.value("SELECT count(*) FROM item WHERE purchase_id = 2") > 0
    assert family.value("SELECT count(*) FROM visit WHERE customer_id = 1") > 0
    assert family.value("SELECT count(*) FROM customer WHERE id <= 60") == 1
    # Items of customer 2 that belong to a purchase of customer 5 wait for it.
    tables, conflicts = restore(family, done.run_id, "customers", "id = 2")
    assert tables["customer"].rows == 1 and conflicts
    assert {row.name for row in conflicts} == {"item", "note"}, conflicts
    tables, conflicts = restore(family, done.run_id, "customers", "id = 5")
    assert not conflicts and family.value("SELECT count(*) FROM item WHERE purchase_id = 3") == tables["item"].rows - family.value(
        "SELECT count(*) FROM item WHERE purchase_id IN (9, 10)")
    tables, conflicts = restore(family, done.run_id)
    assert not conflicts and family.value("SELECT count(*) FROM customer") == 70


def test_conflict_keeps_what_depends_on_it(family):
    before = contents(family, *TABLES)
    done = family.run("customers")
    family.sql("INSERT INTO purchase VALUES (20, 70)")  # taken: of customer 10
    tables, conflicts = restore(family, done.run_id)
    by_table = {}
    for row in conflicts:
        by_table.setdefault(row.name, []).append(row)
    assert [row.row_key["id"] for row in by_table["purchase"]] == [20]
    assert "purchase_pkey" in by_table["purchase"][0].message
    assert "stays in the archive" in by_table["item"][0].message and by_table["note"]
    assert set(by_table) <= {"purchase", "item", "note", "visit"}
    assert family.value("SELECT count(*) FROM customer") == 70  # the parent does not depend on it
    assert family.value("SELECT count(*) FROM item WHERE purchase_id = 20 OR other_id = 20") == 0
    for name, rows in by_table.items():
        assert archived(family, f"{name}_archive") == len(rows), name
    family.sql("DELETE FROM purchase WHERE id = 20")
    assert restore(family, done.run_id)[1] == []
    assert contents(family, *TABLES) == before


def test_reference_that_has_changed_since(family):
    done = family.run("customers")
    family.sql("UPDATE visit SET customer_id = 70 WHERE id = 1; DELETE FROM visit WHERE id = 2; UPDATE visit SET seen = 'later' WHERE id = 3")
    tables, conflicts = restore(family, done.run_id)
    assert {row.row_key["id"] for row in conflicts if row.name == "visit"} <= {1, 2} and conflicts
    assert family.value("SELECT customer_id FROM visit WHERE id = 1") == 70
    row = family.row("SELECT * FROM visit WHERE id = 3")
    assert (row.customer_id, row.seen) == (4, "later")


def test_referenced_row_is_gone(cleanup):
    """A row outside the run that an archived one references."""
    cleanup.sql("""
        CREATE TABLE region (id int PRIMARY KEY);
        CREATE TABLE shop (id int PRIMARY KEY, at timestamptz, region_id int REFERENCES region);
        CREATE TABLE shelf (id int PRIMARY KEY, shop_id int REFERENCES shop ON DELETE CASCADE);
        INSERT INTO region VALUES (1), (2);
        INSERT INTO shop SELECT n, now() - interval '60 days', 1 + n % 2 FROM generate_series(1, 10) n;
        INSERT INTO shelf SELECT n, 1 + n % 10 FROM generate_series(1, 30) n""")
    cleanup.add_policy("shops", "shop", "at", "30 days", action="archive")
    done = cleanup.run("shops")
    cleanup.sql("DELETE FROM region WHERE id = 2")
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["shop"].rows == 5 and tables["shelf"].rows == 15 and len(conflicts) == 20
    assert {row.name for row in conflicts if "shop_region_id_fkey" in row.message} == {"shop"}
    cleanup.sql("INSERT INTO region VALUES (2)")
    assert restore(cleanup, done.run_id)[1] == []
    assert cleanup.value("SELECT count(*) FROM shelf") == 30


def test_circles_and_self_references(cleanup):
    cleanup.sql("""
        CREATE TABLE person (id int PRIMARY KEY, at timestamptz, boss int REFERENCES person ON DELETE CASCADE, team int);
        CREATE TABLE team (id int PRIMARY KEY, lead int REFERENCES person ON DELETE CASCADE);
        ALTER TABLE person ADD FOREIGN KEY (team) REFERENCES team ON DELETE CASCADE;
        INSERT INTO person SELECT n, now() - interval '60 days', CASE WHEN n > 1 THEN n / 2 END FROM generate_series(1, 40) n;
        UPDATE person SET boss = 1 WHERE id = 1;
        INSERT INTO team SELECT n, n * 3 FROM generate_series(1, 10) n;
        UPDATE person SET team = 1 + id % 10;
        """)
    cleanup.add_policy("people", "person", "at", "30 days", action="archive")
    before = contents(cleanup, "person", "team")
    done = cleanup.run("people")
    assert done.status == "succeeded" and cleanup.value("SELECT count(*) FROM person") == 0, done
    assert archived(cleanup, "team_archive") == 10
    assert restore(cleanup, done.run_id)[1] == []
    assert contents(cleanup, "person", "team") == before
    # A circle comes back whole or not at all: the place of one team is taken.
    done = cleanup.run("people")
    cleanup.sql("INSERT INTO team VALUES (5, NULL)")
    tables, conflicts = restore(cleanup, done.run_id)
    assert len(conflicts) == 50 and cleanup.value("SELECT count(*) FROM person") == 0
    cleanup.sql("DELETE FROM team WHERE id = 5")
    assert restore(cleanup, done.run_id)[1] == []
    assert contents(cleanup, "person", "team") == before


def test_relations(cleanup):
    cleanup.sql("""
        CREATE TABLE meeting (id int PRIMARY KEY, title text);
        CREATE TABLE transcript (id int PRIMARY KEY, at timestamptz, meeting_id int);
        CREATE TABLE remark (id int, transcript_id int);
        INSERT INTO meeting SELECT n, 'm' || n FROM generate_series(1, 10) n;
        INSERT INTO transcript SELECT n, now() - CASE WHEN n <= 15 THEN interval '60 days' ELSE interval '1 day' END, 1 + n % 10
          FROM generate_series(1, 20) n;
        INSERT INTO remark SELECT n, n FROM generate_series(1, 20) n""")
    cleanup.add_policy("transcripts", "transcript", "at", "30 days", action="archive")
    cleanup.rows("""SELECT cleanup_add_relation('transcripts', 'remark', '{"id": "transcript_id"}', false) AS a,
                           cleanup_add_relation('transcripts', 'meeting', '{"meeting_id": "id"}')""")
    tables = ("transcript", "meeting", "remark")
    before = contents(cleanup, *tables)
    done = cleanup.run("transcripts")
    assert (done.status, done.rows) == ("succeeded", 15), done
    assert archived(cleanup, "remark_archive") == 15 and archived(cleanup, "meeting_archive") == 5
    found, conflicts = restore(cleanup, done.run_id, "transcripts", "meeting_id = 2")
    assert (found["transcript"].rows, found["meeting"].rows, found["remark"].rows) == (2, 1, 2), found
    assert restore(cleanup, done.run_id)[1] == []
    assert contents(cleanup, *tables) == before


def test_partitioned_child_and_parent(cleanup):
    cleanup.sql("""
        CREATE TABLE p (id int, at timestamptz, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (20);
        CREATE TABLE p2 (at timestamptz, id int NOT NULL);
        ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (20) TO (100);
        CREATE TABLE c (id int, p_id int REFERENCES p ON DELETE CASCADE, self int, PRIMARY KEY (id)) PARTITION BY HASH (id);
        CREATE TABLE c1 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE c2 (self int, p_id int, id int NOT NULL);
        ALTER TABLE c ATTACH PARTITION c2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        ALTER TABLE c ADD FOREIGN KEY (self) REFERENCES c ON DELETE SET NULL;
        INSERT INTO p SELECT n, now() - interval '60 days' * (n % 2) FROM generate_series(1, 40) n;
        INSERT INTO c SELECT n, 1 + n % 40, 1 + n / 2 FROM generate_series(1, 200) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive", partitions="rows")
    before = contents(cleanup, "p", "c")
    done = cleanup.run("p")
    assert (done.status, done.rows) == ("succeeded", 20), done
    assert archived(cleanup, "p_archive") == 20 and archived(cleanup, "c_archive") >= 100
    assert cleanup.value("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_archive'") == 2
    assert restore(cleanup, done.run_id)[1] == []
    assert contents(cleanup, "p", "c") == before


def test_no_primary_key(cleanup):
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE c (p_id int REFERENCES p ON DELETE SET NULL, words json);
        INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 5) n;
        INSERT INTO c SELECT n, '{"n": 1}' FROM generate_series(1, 5) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    done = cleanup.run("p")
    tables, conflicts = restore(cleanup, done.run_id)
    # Rows that are alike now are told apart by nothing; each reference comes back once.
    assert tables["p"].rows == 5 and tables["c"].reset_references == 5 and not conflicts
    assert [row.p_id for row in cleanup.rows("SELECT p_id FROM c ORDER BY 1")] == [1, 2, 3, 4, 5]


def test_other_owners_are_refused(shared_server, db, cleanup):
    cleanup.sql("DO $$ BEGIN CREATE ROLE archive_stranger; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    try:
        for action in ("CASCADE", "SET NULL"):
            cleanup.sql(f"""
                CREATE TABLE p (id int PRIMARY KEY, at timestamptz); CREATE TABLE c (p_id int REFERENCES p ON DELETE {action});
                ALTER TABLE c OWNER TO archive_stranger;
                INSERT INTO p VALUES (1, now() - interval '60 days'); INSERT INTO c VALUES (1)""")
            cleanup.add_policy("p", "p", "at", "30 days", action="archive")
            assert any("cannot be archived" in warning and "c_p_id_fkey" in warning for warning in cleanup.dry_run("p").warnings)
            row = cleanup.run("p")
            assert row.status == "failed" and "other owners" in row.message, row
            assert cleanup.value("SELECT count(*) FROM p") == 1 and cleanup.value("SELECT to_regclass('p_archive')") is None
            cleanup.drop_policy("p")
            cleanup.sql("DROP TABLE c, p")
    finally:
        cleanup.sql("DROP OWNED BY archive_stranger; DROP ROLE archive_stranger")


def test_killed_in_the_middle(own_server):
    """kill -9 of the postmaster in a run, and in a restore: each row is in its table or in the archive, once."""
    slow = SlowRun(own_server, action="archive")
    run_id = slow.start()
    own_server.stop_immediate()
    own_server.start()
    slow.cleanup.close()
    everything = "SELECT count(*) AS n, count(DISTINCT id) AS different FROM (SELECT id FROM slow UNION ALL SELECT id FROM slow_archive) x"
    assert slow.cleanup.rows(everything) == [(slow.due + slow.young,) * 2]
    assert slow.left("slow_archive") == slow.counted(run_id) > 0
    slow.set_pace(0)
    last = slow.cleanup.run("slow").run_id
    # Inserts take their time, too, so that the kill finds the restore at work.
    slow.cleanup.sql("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;"
                     "CREATE TRIGGER wait BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION wait()")
    waiter = slow.cleanup.connect()
    from surface import Background
    def ask():
        with waiter.cursor() as cursor:
            cursor.execute("SELECT * FROM cleanup_restore(%s)", [last])
    asked = Background(ask)
    slow.cleanup.wait_until("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_cleanup worker')")
    own_server.stop_immediate()
    with pytest.raises(psycopg2.Error):
        asked.result()
    own_server.start()
    slow.cleanup.close()
    assert slow.cleanup.rows(everything) == [(slow.due + slow.young,) * 2]
    slow.cleanup.sql("DROP TRIGGER wait ON slow")
    for run in (run_id, last):
        assert restore(slow.cleanup, run)[1] == []
    assert slow.left() == slow.due + slow.young and slow.left("slow_archive") == 0


def test_not_while_another_run_works(cleanup, shared_server, db):
    slow = SlowRun(shared_server, db, action="archive", batch_size=20)
    first = slow.cleanup.run("slow", max_rows=100).run_id
    run_id = slow.start()
    refused(slow.cleanup, "SELECT cleanup_restore(%s)", "still running", code="55006", params=[run_id])
    row = slow.cleanup.row("SELECT * FROM cleanup_restore(%s)", [first])
    assert row.status == "skipped" and str(run_id) in row.message, row
    slow.cleanup.value("SELECT cleanup_cancel(%s)", [run_id])
    slow.cleanup.wait_for_run(run_id)
    slow.cleanup.wait_for_no_workers()
    assert restore(slow.cleanup, first)[0]["slow"].rows == 100
    slow.cleanup.close()


def test_reference_of_a_row_without_key_and_with_generated_column(cleanup):
    cleanup.sql("CREATE TABLE p (id int PRIMARY KEY, at timestamptz)")
    cleanup.sql("CREATE TABLE c (id int, pid int REFERENCES p ON DELETE SET NULL, has boolean GENERATED ALWAYS AS (pid IS NOT NULL) STORED)")
    cleanup.sql("CREATE INDEX ON c (pid)")
    cleanup.sql("INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 4) n")
    cleanup.sql("INSERT INTO c SELECT 1, n FROM generate_series(1, 4) n")
    before = contents(cleanup, "p", "c")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    done = cleanup.run("p")
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["c"].reset_references == 4 and not conflicts, conflicts
    assert contents(cleanup, "p", "c") == before


def test_default_of_a_partition(cleanup):
    """SET DEFAULT sets the default of the constraint's table, also in a partition that has another, or none."""
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE c (id int PRIMARY KEY, p_id int DEFAULT 1000 REFERENCES p ON DELETE SET DEFAULT) PARTITION BY RANGE (id);
        CREATE TABLE c1 (id int NOT NULL, p_id int);
        ALTER TABLE c ATTACH PARTITION c1 FOR VALUES FROM (0) TO (100);
        CREATE TABLE c2 PARTITION OF c FOR VALUES FROM (100) TO (200);
        INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 10) n;
        INSERT INTO p VALUES (1000, NULL);
        INSERT INTO c SELECT n, 1 + n % 10 FROM generate_series(1, 150) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    before = contents(cleanup, "p", "c")
    done = cleanup.run("p")
    assert cleanup.value("SELECT count(*) FROM c WHERE p_id = 1000") == 150
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["c"].reset_references == 150 and not conflicts, conflicts[:3]
    assert contents(cleanup, "p", "c") == before


@pytest.mark.parametrize("change", ["ADD COLUMN other int REFERENCES p", "ADD COLUMN id bigserial PRIMARY KEY",
                                    "ADD COLUMN id bigserial PRIMARY KEY, ADD CHECK (p_id <> 3)"])
def test_keys_that_came_later(cleanup, change):
    """Foreign and primary keys of columns that the archive does not have yet."""
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE c (p_id int REFERENCES p ON DELETE CASCADE, q_id int REFERENCES p ON DELETE SET NULL);
        INSERT INTO p SELECT n, now() - interval '60 days' * (n % 2) FROM generate_series(1, 20) n;
        INSERT INTO c SELECT 1 + n % 20, 1 + n * 7 % 20 FROM generate_series(1, 100) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    done = cleanup.run("p")
    taken = cleanup.value("SELECT count(*) FROM c_archive WHERE cleanup_changed IS NULL AND p_id = 3") if "CHECK" in change else 0
    cleanup.sql(f"ALTER TABLE c {change}")
    tables, conflicts = restore(cleanup, done.run_id)
    assert len(conflicts) == taken and all(row.row_key["p_id"] == 3 for row in conflicts), conflicts
    assert cleanup.value("SELECT count(*) FROM p") == 20 and cleanup.value("SELECT count(q_id) FROM c") == 100 - taken


@pytest.mark.parametrize("change", [
    "ALTER TABLE c DROP COLUMN p_id",
    "ALTER TABLE c DROP COLUMN p_id; ALTER TABLE c_archive DROP COLUMN p_id",
    "ALTER TABLE c RENAME COLUMN p_id TO parent_id; ALTER TABLE c_archive RENAME COLUMN p_id TO parent_id"], ids=["dropped", "both", "renamed"])
def test_reference_that_is_gone(cleanup, change):
    """Where a constraint set a column that is not there under its name any more, the other rows come back."""
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE SET NULL);
        INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 10) n;
        INSERT INTO c SELECT n, n FROM generate_series(1, 10) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    done = cleanup.run("p")
    cleanup.sql(change)
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["p"].rows == 10 and {row.name for row in conflicts} == {"c"} and len(conflicts) == 10, tables
    if "RENAME" in change:
        cleanup.sql("UPDATE c_archive SET cleanup_changed = jsonb_build_object('parent_id', cleanup_changed -> 'p_id')")
        assert restore(cleanup, done.run_id)[1] == []
        assert cleanup.value("SELECT count(*) FROM c WHERE parent_id = id") == 10


def test_archives_that_nobody_has_analyzed(cleanup):
    """A planner that expects hardly a row of the run must not read an archive anew for each of many."""
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE CASCADE);
        CREATE TABLE n (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE SET NULL);
        CREATE INDEX ON c (p_id); CREATE INDEX ON n (p_id);
        INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 20000) n;
        INSERT INTO c SELECT n, 1 + n % 20000 FROM generate_series(1, 60000) n;
        INSERT INTO n SELECT n, n FROM generate_series(1, 20000) n;
        ANALYZE p, c, n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive", batch_size=2)
    cleanup.run("p", max_rows=2)
    cleanup.sql("ALTER TABLE p_archive SET (autovacuum_enabled = off); ALTER TABLE c_archive SET (autovacuum_enabled = off);"
                "ALTER TABLE n_archive SET (autovacuum_enabled = off)")
    cleanup.alter_policy("p", clear=["batch_size"])
    done = cleanup.run("p")
    tables, conflicts = restore(cleanup, done.run_id)
    assert tables["p"].rows >= 19990 and tables["n"].reset_references == tables["p"].rows and not conflicts, tables


def test_long_names_that_begin_alike(cleanup):
    cleanup.sql("CREATE TABLE p (id int PRIMARY KEY, at timestamptz); INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 9) n")
    tables = [f"{'x' * 58}_{letter}" for letter in "abcd"]
    for table in tables:
        cleanup.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE CASCADE); INSERT INTO {table} SELECT n, n FROM generate_series(1, 9) n")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive", batch_size=2)
    before = contents(cleanup, "p", *tables)
    first = cleanup.run("p", max_rows=4)
    second = cleanup.run("p")
    assert second.status == "succeeded", second
    assert cleanup.value("SELECT count(DISTINCT archive::text) FROM cleanup_archives") == 5
    for run in (first, second):
        assert restore(cleanup, run.run_id)[1] == []
    assert contents(cleanup, "p", *tables) == before


def test_conflicts_of_a_large_archive(cleanup):
    """A large batch in which a row cannot come back, or a lock is missing, is made smaller first; in the end all is as with small ones."""
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz, words text) WITH (fillfactor = 10);
        CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE CASCADE);
        CREATE INDEX ON c (p_id);
        INSERT INTO p SELECT n, now() - interval '60 days', repeat('x', 1900) FROM generate_series(1, 20000) n;
        INSERT INTO c SELECT n, n FROM generate_series(1, 20000) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    done = cleanup.run("p")
    assert cleanup.value("SELECT pg_relation_size('p_archive') / 8192") > 64 * 64 + 500
    taken = [5, 6, 7000, 19999]
    cleanup.sql("INSERT INTO p SELECT unnest(%s), now()", [taken])
    tables, conflicts = restore(cleanup, done.run_id)
    assert sorted(row.row_key["id"] for row in conflicts if row.name == "p") == taken
    assert sorted(row.row_key["id"] for row in conflicts if row.name == "c") == taken
    assert tables["p"].rows == 19996 and tables["c"].rows == 19996, tables
    cleanup.sql("DELETE FROM p WHERE words IS NULL")
    assert restore(cleanup, done.run_id)[1] == [] and cleanup.value("SELECT count(*) FROM p JOIN c ON p_id = p.id") == 20000


NEW_TABLE = "CREATE TABLE g (id int PRIMARY KEY, c_id int); INSERT INTO g SELECT id, id FROM c; ALTER TABLE g ADD FOREIGN KEY (c_id) REFERENCES c ON DELETE "


@pytest.mark.parametrize("change", ["ALTER TABLE c RENAME TO c_old; CREATE TABLE c (LIKE c_old INCLUDING ALL)",
                                    NEW_TABLE + "CASCADE", NEW_TABLE + "SET NULL", "ALTER TABLE c ADD COLUMN note text DEFAULT 'none'"],
                         ids=["rename", "cascade", "set_null", "column"])
def test_dependent_table_changes_during_a_batch(cleanup, change):
    """Between a batch's look at definitions and its first look at dependent rows: all that goes is archived, whatever took it along."""
    cleanup.sql("""
        CREATE TABLE p (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE CASCADE);
        CREATE INDEX ON c (p_id);
        INSERT INTO p SELECT n, now() - interval '60 days' FROM generate_series(1, 100) n;
        INSERT INTO c SELECT n, 1 + n % 100 FROM generate_series(1, 300) n""")
    cleanup.add_policy("p", "p", "at", "30 days", action="archive")
    cleanup.run("p", max_rows=1)
    cleanup.sql("""CREATE FUNCTION is_open(int) RETURNS bool STABLE LANGUAGE plpgsql AS $$
        BEGIN
          IF EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relation = 'p'::regclass) THEN
            PERFORM pg_advisory_xact_lock_shared(77);
          END IF;
          RETURN true;
        END $$""")
    cleanup.alter_policy("p", condition="is_open(id)")
    cleanup.sql("SELECT pg_advisory_lock(77)")
    run_id = cleanup.start("p")
    cleanup.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted", what="a batch at the gate")
    other = Cleanup(cleanup.server, cleanup.dbname)
    other.sql(change)
    other.close()
    cleanup.sql("SELECT pg_advisory_unlock(77)")
    row = cleanup.wait_for_run(run_id)
    assert row.status == "succeeded", cleanup.targets(run_id)
    assert archived(cleanup, "c_archive") == 300 and archived(cleanup, "p_archive") == 100
    if change.startswith(NEW_TABLE):
        assert cleanup.value("SELECT count(c_id) FROM g") == 0 and archived(cleanup, "g_archive") == 297
