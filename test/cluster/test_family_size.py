"""Families that are too large: told of, and split where the policy says so."""

import json

import pytest

from family_world import add, child, create, ids, run

SIZE = 50


@pytest.fixture
def large(app):  # noqa: F811
    """Of row 1 of p: 300 children, one of which has 200 of its own, with 3 each; families of other rows are small."""
    create(app, child("c") + child("d", parent="c") + child("e", parent="d"))
    create(app, "INSERT INTO c SELECT n, 1 FROM generate_series(1, 300) n; INSERT INTO c SELECT 1000 + n, n FROM generate_series(2, 20) n;"
                "INSERT INTO d SELECT n, 7 FROM generate_series(1, 200) n; INSERT INTO d SELECT 1000 + n, n FROM generate_series(8, 90) n;"
                "INSERT INTO e SELECT n, 1 + n % 200 FROM generate_series(1, 600) n")
    app.sql(f"ALTER DATABASE {app.dbname} SET pg_cleanup.max_family_rows = {SIZE}")
    app.close()
    return app


ALL = 300 + 9 + 200 + 83 + 600  # dependents of due rows


def largest(told):
    return json.loads(told).get("largest_family")


def large_warning(app):  # noqa: F811
    return [warning for warning in app.dry_run("p").warnings if "largest family" in warning]


@pytest.mark.parametrize("analyzed", [True, False])
def test_the_dry_run_warns_of_it(large, analyzed):
    if analyzed:
        large.sql("ANALYZE app.p; ANALYZE app.c; ANALYZE app.d; ANALYZE app.e")
    add(large)
    (warning,) = large_warning(large)
    assert f" {ALL - 9 + 1} rows" in warning and f"({SIZE})" in warning and "split_families => true" in warning, warning
    large.alter_policy("p", split_families=True)
    assert "is split" in large_warning(large)[0]
    large.alter_policy("p", condition="id > 1")
    assert large_warning(large) == []


def test_a_large_family_goes_whole_and_is_told_of(large):
    create(large, "ALTER TABLE e ADD other int REFERENCES c ON DELETE CASCADE; CREATE INDEX ON e (other)")
    add(large)
    done, told = run(large, rows=10, dependent_rows=ALL)
    assert largest(told) == ALL - 9 + 1, told
    assert done.batches <= 10, done


def test_a_large_family_that_a_constraint_takes_along_is_told_of(large):
    add(large, batch_size=1)
    _, told = run(large, rows=10, dependent_rows=ALL)
    assert largest(told) == ALL - 9 + 1, told


def test_a_small_family_is_not_told_of(large):
    create(large, "ALTER TABLE e ADD other int REFERENCES c ON DELETE CASCADE; CREATE INDEX ON e (other)")
    add(large, condition="id > 1")
    _, told = run(large, rows=9, dependent_rows=9)
    assert largest(told) is None, told


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_split(large, batch_size):
    """No batch has many more rows than the setting says."""
    create(large, "CREATE TABLE log (tx xid8, tbl text)")
    for table in ("p", "c", "d", "e"):
        create(large, f"CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS $$"
                      f" BEGIN INSERT INTO app.log VALUES (pg_current_xact_id(), '{table}'); RETURN NULL; END $$;"
                      f"CREATE TRIGGER note AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION note_{table}()")
    add(large, split_families=True, batch_size=batch_size)
    done, told = run(large, rows=10, dependent_rows=ALL, skipped_rows=0)
    sizes = [row[0] for row in large.rows("SELECT count(*) FROM app.log GROUP BY tx")]
    assert max(sizes) <= SIZE + 1 and len(sizes) >= ALL // SIZE, sizes
    assert largest(told) is not None, told
    assert [ids(large, table, "true") for table in ("d", "e")] == [[], []]
    assert large.value("SELECT count(*) FROM app.c") == 10
    assert done.batches >= len(sizes)


def test_what_blocks_is_asked_before_the_first_part_goes(large):
    create(large, child("guard", "ON DELETE RESTRICT", "e") + "INSERT INTO guard VALUES (1, 600)")
    add(large, split_families=True)
    _, told = run(large, status="partial", rows=9, skipped_rows=1, dependent_rows=9)
    assert "app.guard" in told, told
    assert [len(ids(large, table)) for table in ("d", "e")] == [283, 600]
    assert large.value("SELECT count(*) FROM app.c WHERE parent = 1") == 300


def test_a_family_in_a_circle_cannot_be_split(large):
    """Each row takes all others along: it goes whole."""
    create(large, "CREATE TABLE ring (id int PRIMARY KEY, at timestamptz, next int); INSERT INTO ring SELECT n, now() - interval '60 days', 1 + n % 200 FROM generate_series(1, 200) n;"
                  "ALTER TABLE ring ADD FOREIGN KEY (next) REFERENCES ring ON DELETE CASCADE; CREATE INDEX ON ring (next)")
    large.sql("UPDATE app.ring SET at = now() WHERE id > 1")
    add(large, "ring", split_families=True)
    run(large, "ring", rows=1, dependent_rows=199)
    assert ids(large, "ring") == []


def test_a_locked_part_is_left_for_later(large):
    other = large.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM app.e WHERE id = 600 FOR UPDATE")
        add(large, split_families=True)
        run(large, status="partial", rows=9, skipped_rows=1)
    other.rollback()
    other.close()
    assert 600 in ids(large, "e") and 1 in ids(large, "p")
    run(large, rows=1)
    assert ids(large, "e") == []


NOTES = "CREATE TABLE note (id int PRIMARY KEY, about int); CREATE INDEX ON note (about); INSERT INTO note SELECT n, 1 FROM generate_series(1, 300) n;"


def relate(app):
    """Notes go with their row of p."""
    app.sql("""SELECT cleanup_add_relation('p', 'app.note', '{"id": "about"}', false)""")


def untouched(app):
    return [len(ids(app, table)) for table in ("c", "d", "e", "note")] == [319, 283, 600, 300] and 1 in ids(app, "p")


def test_what_blocks_a_related_row_is_asked_before_the_first_part_goes(large):
    create(large, NOTES + child("guard", "ON DELETE RESTRICT", "note") + "INSERT INTO guard VALUES (1, 300)")
    add(large, split_families=True, condition="id = 1")
    relate(large)
    _, told = run(large, status="partial", rows=0, skipped_rows=1, dependent_rows=0)
    assert "app.guard" in told, told
    assert untouched(large)


def test_a_related_row_that_goes_itself_does_not_block(large):
    """Of what blocks, only what does not go with the row counts."""
    create(large, NOTES + "ALTER TABLE c ADD note int REFERENCES note; UPDATE c SET note = 300 WHERE id = 300; CREATE INDEX ON c (note)")
    add(large, split_families=True, condition="id = 1")
    relate(large)
    run(large, rows=1, dependent_rows=300 + 283 + 600 + 300)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_what_is_skipped_is_not_split(large, action):
    """A reference that would be followed keeps the row as well."""
    create(large, NOTES + child("guard", f"ON DELETE {action}") + "INSERT INTO guard VALUES (1, 1); DELETE FROM c")
    add(large, split_families=True, on_reference="skip", condition="id = 1")
    relate(large)
    run(large, status="partial", rows=0, skipped_rows=1, dependent_rows=0)
    assert len(ids(large, "note")) == 300 and len(ids(large, "guard")) == 1
    large.sql("DELETE FROM app.guard")
    run(large, rows=1, dependent_rows=300)
