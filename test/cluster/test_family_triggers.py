"""Families and the application's own triggers, which see what they see when the application deletes the parent; and rows that
other sessions have."""

import pytest

from family_world import add, child, create, fill, ids, run
from surface import Background


def trigger(app, table, when, body, name="note"):
    create(app, f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
                f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")


def two_paths(app):
    """c goes with p by two keys, so that families are needed whatever the triggers are."""
    create(app, child("c") + "ALTER TABLE c ADD other int REFERENCES p ON DELETE CASCADE; CREATE INDEX ON c (other);" + fill("c (id, parent)"))


# -- what triggers see --------------------------------------------------------------------------------------------------


def applications_way(app):
    """What the application's own DELETE leaves, and what its triggers wrote."""
    other = app.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("DELETE FROM app.p WHERE id <= 10; SET CONSTRAINTS ALL IMMEDIATE")
        state = everything(cursor)
    other.rollback()
    other.close()
    return state


def everything(cursor):
    state = []
    for table in ("p", "c", "log"):
        cursor.execute(f"SELECT to_jsonb(t) - 'at' FROM app.{table} t ORDER BY to_jsonb(t)::text")
        state.append(cursor.fetchall())
    return state


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_counter_cache_in_the_parent(app, when):
    two_paths(app)
    create(app, "CREATE TABLE log (id int, seen int); UPDATE p SET n = 1; INSERT INTO c VALUES (30, 1, 11), (31, 12, 2)")
    trigger(app, "c", f"{when} DELETE", """UPDATE app.p SET n = n - 1 WHERE id IN (OLD.parent, OLD.other);
        INSERT INTO app.log SELECT OLD.id, count(*) FROM app.p WHERE id = OLD.parent; RETURN OLD;""")
    expected = applications_way(app)
    add(app)
    run(app, rows=10)
    with app.connection.cursor() as cursor:
        assert everything(cursor) == expected
    # The young parents of rows that went have counted.
    assert ids(app, "p", "n = 0") == [11, 12] and ids(app, "p", "n = 1") == [13, 14, 15, 16, 17, 18, 19, 20]


def test_audit_trigger_on_the_child(app):
    two_paths(app)
    create(app, "CREATE TABLE log (id int, parent int, at_all bigint)")
    trigger(app, "c", "AFTER DELETE", "INSERT INTO app.log SELECT OLD.id, OLD.parent, count(*) FROM app.p WHERE id = OLD.parent; RETURN NULL;")
    expected = applications_way(app)
    add(app, batch_size=4)
    run(app, rows=10)
    with app.connection.cursor() as cursor:
        assert everything(cursor) == expected
    assert app.value("SELECT count(*) FROM app.log") == 10


def test_a_trigger_of_the_parent_that_deletes_the_children_itself(app):
    """One statement cannot delete what a trigger of it has deleted: the constraints do the rest then."""
    two_paths(app)
    create(app, "CREATE TABLE log (id int)")
    trigger(app, "p", "BEFORE DELETE", "DELETE FROM app.c WHERE parent = OLD.id; INSERT INTO app.log VALUES (OLD.id); RETURN OLD;")
    add(app)
    run(app, rows=10, dependent_rows=10, skipped_rows=0)
    assert ids(app, "c") == list(range(11, 21)) and len(ids(app, "log")) == 10


# -- triggers that keep rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["p", "c", "d"])
def test_a_veto_keeps_the_family_whole(app, table):
    two_paths(app)
    create(app, child("d", parent="c") + fill("d"))
    trigger(app, table, "BEFORE DELETE", "IF OLD.id IN (3, 8) THEN RETURN NULL; END IF; RETURN OLD;")
    add(app)
    _, told = run(app, status="partial", rows=8, skipped_rows=2)
    assert "kept by a trigger" in told, told
    for name in ("p", "c", "d"):
        assert ids(app, name, "id <= 10") == [3, 8], name


def test_a_veto_of_a_plain_cascade(app):
    """One key only: without the trigger the constraint would do it all, with it the reference would dangle."""
    create(app, child("c") + fill("c"))
    trigger(app, "c", "BEFORE DELETE", "IF OLD.id = 5 THEN RETURN NULL; END IF; RETURN OLD;")
    add(app)
    run(app, status="partial", rows=9, skipped_rows=1, dependent_rows=9)
    assert ids(app, "p", "id <= 10") == ids(app, "c", "id <= 10") == [5]


def test_a_veto_of_set_null(app):
    create(app, child("c", "ON DELETE SET NULL") + fill("c"))
    trigger(app, "c", "BEFORE UPDATE", "IF OLD.id IN (5, 6) THEN RETURN NULL; END IF; RETURN NEW;")
    add(app)
    _, told = run(app, status="partial", rows=8, skipped_rows=2, dependent_rows=8)
    assert "kept by a trigger" in told, told
    assert ids(app, "p", "id <= 10") == ids(app, "c", "parent <= 10") == [5, 6]


def test_every_row_is_kept(app):
    two_paths(app)
    trigger(app, "c", "BEFORE DELETE", "RETURN NULL;")
    add(app)
    run(app, status="partial", rows=0, skipped_rows=10, dependent_rows=0)
    assert len(ids(app, "c")) == len(ids(app, "p")) == 20


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_a_child_that_raises_keeps_its_family(app, when):
    two_paths(app)
    trigger(app, "c", f"{when} DELETE", "IF OLD.id IN (2, 9) THEN RAISE 'child % is dear to me', OLD.id; END IF; RETURN OLD;")
    add(app)
    _, told = run(app, status="partial", rows=8, skipped_rows=2)
    assert "child 9 is dear to me" in told, told
    assert ids(app, "p", "id <= 10") == ids(app, "c", "id <= 10") == [2, 9]


def test_not_null_columns_that_would_be_set_to_null(app):
    two_paths(app)
    create(app, "CREATE TABLE s (id int PRIMARY KEY, parent int NOT NULL REFERENCES p ON DELETE SET NULL); INSERT INTO s VALUES (1, 4), (2, 11)")
    add(app)
    _, told = run(app, status="partial", rows=9, skipped_rows=1)
    assert "23502" in told, told
    assert ids(app, "p", "id <= 10") == ids(app, "c", "id <= 10") == [4]


# -- rows of other sessions ---------------------------------------------------------------------------------------------


def test_a_locked_child_holds_up_its_own_family(app):
    two_paths(app)
    create(app, child("s", "ON DELETE SET NULL") + fill("s"))
    other = app.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM app.c WHERE id IN (4, 15) FOR UPDATE; SELECT FROM app.s WHERE id = 6 FOR UPDATE")
        add(app)
        done, told = run(app, status="partial", rows=8, skipped_rows=2)
        assert "locked by another session" in told, told
        # Known in advance, not by failing: one batch, and another try at the end.
        assert done.batches <= 8, done
    other.rollback()
    other.close()
    assert ids(app, "p", "id <= 10") == ids(app, "c", "id <= 10") == [4, 6]
    assert ids(app, "s", "parent <= 10") == [4, 6]
    run(app, rows=2, dependent_rows=4)


@pytest.mark.parametrize("more", [{}, {"on_reference": "skip"}], ids=["follow", "skip"])
def test_a_locked_child_of_a_plain_cascade(app, more):
    """Where the constraints do it all, too, and whatever else is in the batch."""
    create(app, child("c") + "INSERT INTO p (id) SELECT n FROM generate_series(100, 699) n;")
    if not more:
        create(app, fill("c") + fill("c", "generate_series(100, 699)"))
    other = app.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("INSERT INTO app.c SELECT 1000 + n, n FROM generate_series(1, 3) n; SELECT FROM app.c WHERE id IN (4, 5, 150, 600) FOR UPDATE")
        add(app, **more)
        _, told = run(app, status="partial", rows=610 - (3 if more else 7), skipped_rows=3 if more else 7)
        assert "locked by another session" in told, told
    other.rollback()
    other.close()
    assert ids(app, "p", "at < now() - interval '30 days'") == ([1, 2, 3] if more else [1, 2, 3, 4, 5, 150, 600])
    run(app, rows=3 if more else 7)


def test_a_lock_that_only_a_trigger_meets(app):
    """Nobody knows before: the batch is halved until the one family is found."""
    two_paths(app)
    create(app, "CREATE TABLE tally (id int PRIMARY KEY, n int); INSERT INTO tally SELECT n, 0 FROM generate_series(1, 20) n")
    trigger(app, "c", "AFTER DELETE", "UPDATE app.tally SET n = n + 1 WHERE id = OLD.id; RETURN NULL;")
    other = app.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("UPDATE app.tally SET n = 100 WHERE id = 7")
        add(app)
        run(app, status="partial", rows=9, skipped_rows=1)
    other.rollback()
    other.close()
    assert ids(app, "p", "id <= 10") == [7]
    run(app, rows=1)
    assert app.value("SELECT sum(n) FROM app.tally") == 10


def test_a_child_that_is_given_to_another_parent_while_we_run(app):
    """Committed while the run waits at another batch: its new parent is young, so it stays."""
    two_paths(app)
    create(app, "CREATE TABLE gate (id int)")
    # The first batch, of rows 1 to 3, waits here for whoever holds the gate; no row is locked that others need.
    trigger(app, "p", "BEFORE DELETE", "IF OLD.id = 1 THEN PERFORM pg_advisory_xact_lock(42); END IF; RETURN OLD;")
    add(app, batch_size=3)
    app.sql("ALTER ROLE parents SET lock_timeout = 0")
    other = app.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("UPDATE app.c SET parent = 20 WHERE id IN (5, 6)")
        # Not committed: the rows are this session's, so their families stay for now.
        done, _ = run(app, status="partial", rows=8, skipped_rows=2)
    other.commit()
    other.close()
    assert ids(app, "p", "id <= 10") == [5, 6]
    # Now 5 and 6 take nobody along.
    run(app, rows=2, dependent_rows=0)
    assert ids(app, "c", "id <= 10") == [5, 6]


def test_children_that_are_moved_and_made_all_the_time(app):
    """No dangling reference, nothing young is lost, whatever another session commits in between."""
    two_paths(app)
    create(app, "INSERT INTO p (id) SELECT n FROM generate_series(100, 900) n; INSERT INTO c (id, parent) SELECT n, n FROM generate_series(100, 900) n")
    add(app, batch_size=20)
    stop = []

    def application():
        other = app.connect()
        moved = 0
        with other.cursor() as cursor:
            for n in range(900, 99, -1):
                if stop:
                    break
                cursor.execute("UPDATE app.c SET parent = 11 + %s %% 10, other = NULL WHERE id = %s", [n, n])
                moved += cursor.rowcount
                cursor.execute("INSERT INTO app.c (id, parent) SELECT %s, id FROM app.p WHERE id = 11 + %s %% 10", [5000 + n, n])
        other.close()
        return moved

    caller = Background(application)
    done = app.run("p")
    stop.append(True)
    moved = caller.result()
    assert done.status in ("succeeded", "partial"), done
    app.run("p")
    assert ids(app, "p", "at < now() - interval '30 days'") == []
    assert app.value("SELECT count(*) FROM app.c WHERE id BETWEEN 100 AND 900") == moved
    assert app.value("SELECT count(*) FROM app.c WHERE NOT EXISTS (SELECT FROM app.p WHERE p.id = c.parent)") == 0


# -- other owners -------------------------------------------------------------------------------------------------------


def of_neighbour(app, script, readable=True):
    app.sql("CREATE SCHEMA IF NOT EXISTS yard AUTHORIZATION neighbour")
    app.sql("GRANT USAGE ON SCHEMA app TO neighbour; GRANT REFERENCES, SELECT ON ALL TABLES IN SCHEMA app TO neighbour")
    app.sql(f"SET SESSION AUTHORIZATION neighbour; SET search_path = yard, app; {script}; RESET SESSION AUTHORIZATION; RESET search_path")
    if readable:
        app.sql(f"GRANT USAGE ON SCHEMA yard TO {app.owner}; GRANT SELECT ON ALL TABLES IN SCHEMA yard TO {app.owner}")


@pytest.mark.parametrize("readable", [True, False], ids=["readable", "hidden"])
def test_dependents_of_other_owners(app, readable):
    """Left to their constraints, carried out as their owner, and counted; what blocks there blocks."""
    two_paths(app)
    of_neighbour(app, """
        CREATE TABLE yard.tree (id int PRIMARY KEY, parent int REFERENCES app.p ON DELETE CASCADE);
        INSERT INTO yard.tree SELECT n, n FROM generate_series(1, 20) n;
        CREATE TABLE yard.nest (id int PRIMARY KEY, tree int REFERENCES yard.tree);
        INSERT INTO yard.nest VALUES (1, 3);
        CREATE TABLE yard.fence (id int PRIMARY KEY, parent int REFERENCES app.c ON DELETE SET NULL);
        INSERT INTO yard.fence SELECT n, n FROM generate_series(1, 20) n""", readable)
    add(app)
    _, told = run(app, status="partial", rows=9, skipped_rows=1, dependent_rows=9 + 9 + 9)
    assert ("yard.nest" if readable else "nest_tree_fkey") in told, told
    assert ids(app, "p", "id <= 10") == ids(app, "c", "id <= 10") == [3]
    assert app.value("SELECT array_agg(id ORDER BY id) FROM yard.tree") == [3, *range(11, 21)]
    assert app.value("SELECT array_agg(id ORDER BY id) FROM yard.fence WHERE parent IS NULL") == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    counted = {row.table_name: (row.rows, row.changed_rows) for row in app.rows("SELECT * FROM cleanup_run_targets WHERE kind = 'dependent'")}
    assert counted["yard.tree"] == (9, 0) and counted["yard.fence"] == (0, 9) and counted["app.c"] == (9, 0), counted


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_veto_of_another_owner_keeps_the_family(app, action):
    """The constraint would leave a row behind that references nothing."""
    of_neighbour(app, f"""
        CREATE TABLE yard.tree (id int PRIMARY KEY, parent int REFERENCES app.p ON DELETE {action});
        INSERT INTO yard.tree SELECT n, n FROM generate_series(1, 20) n;
        CREATE FUNCTION yard.veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF OLD.id = 3 THEN RETURN NULL; END IF; IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF; RETURN OLD; END $$;
        CREATE TRIGGER veto BEFORE DELETE OR UPDATE ON yard.tree FOR EACH ROW EXECUTE FUNCTION yard.veto()""")
    add(app)
    run(app, status="partial", rows=9, skipped_rows=1, dependent_rows=9)
    assert ids(app, "p", "id <= 10") == [3]
    assert app.value("SELECT count(*) FROM yard.tree WHERE parent NOT IN (SELECT id FROM app.p)") == 0


def test_granted_tables_of_others_are_not_touched_by_us(app):
    """DELETE was granted; all the same only the constraint deletes there."""
    two_paths(app)
    of_neighbour(app, "CREATE TABLE yard.tree (id int PRIMARY KEY, parent int REFERENCES app.p ON DELETE CASCADE, peer int REFERENCES app.c)")
    app.sql(f"GRANT ALL ON yard.tree TO {app.owner}; INSERT INTO yard.tree SELECT n, n, NULL FROM generate_series(1, 20) n")
    app.sql("UPDATE yard.tree SET peer = id WHERE id = 4")
    add(app)
    # Row 4 of tree would go with p 4, but nobody knows whether before or after c 4, which it blocks.
    run(app, status="partial", rows=9, skipped_rows=1)
    assert ids(app, "p", "id <= 10") == ids(app, "c", "id <= 10") == [4]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_partitions_of_others_that_may_be_read_through_the_whole_only(app, action):
    """SELECT is granted on the partitioned table, as is usual; of the partitions by themselves nobody spoke."""
    two_paths(app)
    of_neighbour(app, f"""CREATE TABLE yard.tree (id int PRIMARY KEY, parent int REFERENCES app.p ON DELETE {action}) PARTITION BY RANGE (id);
        CREATE TABLE yard.tree_a PARTITION OF yard.tree FOR VALUES FROM (0) TO (10); CREATE TABLE yard.tree_b PARTITION OF yard.tree FOR VALUES FROM (10) TO (100);
        CREATE TABLE yard.fruit (id int PRIMARY KEY, tree int REFERENCES yard.tree ON DELETE CASCADE);
        INSERT INTO yard.tree SELECT n, n FROM generate_series(1, 20) n; INSERT INTO yard.fruit SELECT n, n FROM generate_series(1, 20) n""", False)
    app.sql(f"GRANT USAGE ON SCHEMA yard TO {app.owner}; GRANT SELECT ON yard.tree, yard.fruit TO {app.owner}")
    add(app)
    assert app.dry_run("p").dependent_rows == (30 if action == "CASCADE" else 20)
    run(app, rows=10, dependent_rows=30 if action == "CASCADE" else 20)
    assert app.value("SELECT count(*) FROM yard.tree WHERE parent > 10") == 10
    assert app.value("SELECT count(*) FROM yard.fruit") == (10 if action == "CASCADE" else 20)


@pytest.mark.parametrize("name, saved", [("A_save", True), ("save", False)])
def test_a_trigger_that_saves_the_children_after_the_delete(app, name, saved):
    """Triggers fire by their names: before the constraint's own, it saves them when the application deletes the parent."""
    two_paths(app)
    create(app, "CREATE TABLE log (id int)")
    create(app, "CREATE FUNCTION save() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE app.c SET parent = 20 WHERE parent = OLD.id; RETURN NULL; END $$;"
                f'CREATE TRIGGER "{name}" AFTER DELETE ON p FOR EACH ROW EXECUTE FUNCTION save()')
    (_, children, _) = applications_way(app)
    assert len(children) == (20 if saved else 10)
    add(app)
    run(app, rows=0 if saved else 10, status="partial" if saved else "succeeded", skipped_rows=10 if saved else 0)
    # It does not tell whom it saves and why, so they stay with their parents.
    assert len(ids(app, "c")) == (20 if saved else 10)


def test_a_trigger_before_the_constraints_that_saves_nobody(app):
    two_paths(app)
    create(app, child("d", parent="c") + fill("d") + "CREATE TABLE log (id int)")
    create(app, "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.log VALUES (OLD.id); RETURN NULL; END $$;"
                'CREATE TRIGGER "Audit" AFTER DELETE ON c FOR EACH ROW EXECUTE FUNCTION note()')
    add(app)
    run(app, rows=10, dependent_rows=20)
    assert ids(app, "c") == ids(app, "d") == list(range(11, 21)) and len(ids(app, "log")) == 10


@pytest.mark.parametrize("plain", [True, False])
def test_a_key_of_a_partition_that_may_not_be_read(app, plain):
    """It references the partition alone: what is behind it is left to the constraint, as with tables that may not be read."""
    if not plain:
        two_paths(app)
    of_neighbour(app, """CREATE TABLE yard.tree (id int PRIMARY KEY, parent int REFERENCES app.p ON DELETE CASCADE) PARTITION BY RANGE (id);
        CREATE TABLE yard.tree_a PARTITION OF yard.tree FOR VALUES FROM (0) TO (5); CREATE TABLE yard.tree_b PARTITION OF yard.tree FOR VALUES FROM (5) TO (100);
        CREATE TABLE yard.fruit (id int PRIMARY KEY, tree int REFERENCES yard.tree_a ON DELETE CASCADE);
        INSERT INTO yard.tree SELECT n, n FROM generate_series(1, 20) n; INSERT INTO yard.fruit SELECT n, n FROM generate_series(1, 4) n""", False)
    app.sql(f"GRANT USAGE ON SCHEMA yard TO {app.owner}; GRANT SELECT ON yard.tree, yard.fruit TO {app.owner}")
    add(app)
    assert app.dry_run("p").dependent_rows == (10 if plain else 20)
    run(app, rows=10, dependent_rows=14 if plain else 24)
    assert app.value("SELECT count(*) FROM yard.fruit") == 0


def test_a_trigger_that_saves_the_children_of_partitions(app):
    """A partition has a copy of it."""
    create(app, """CREATE TABLE folder (id int PRIMARY KEY, at timestamptz DEFAULT now() - interval '60 days') PARTITION BY RANGE (id);
        CREATE TABLE folder_a PARTITION OF folder FOR VALUES FROM (0) TO (10); INSERT INTO folder (id) VALUES (1), (2); INSERT INTO folder VALUES (9, now());
        CREATE TABLE file (id int PRIMARY KEY, folder int REFERENCES folder ON DELETE CASCADE, link int REFERENCES folder ON DELETE CASCADE);
        CREATE INDEX ON file (folder); CREATE INDEX ON file (link); INSERT INTO file VALUES (1, 1), (2, 2), (3, 9);
        CREATE FUNCTION save() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE app.file SET folder = 9 WHERE folder = OLD.id; RETURN NULL; END $$;
        CREATE TRIGGER "A_save" AFTER DELETE ON folder FOR EACH ROW EXECUTE FUNCTION save()""")
    add(app, "folder")
    run(app, "folder", status="partial", rows=0, skipped_rows=2)
    assert ids(app, "file") == [1, 2, 3]
