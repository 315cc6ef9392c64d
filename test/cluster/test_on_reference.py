"""on_reference = 'skip' and 'error': rows that any foreign key references."""

import threading

import pytest

from family_world import add, child, create, fill, ids, run
from surface import Background

ACTIONS = ["", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT"]


@pytest.mark.parametrize("action", ACTIONS, ids=["no_action", "cascade", "set_null", "restrict"])
def test_skip(app, action):
    create(app, child("c", action) + fill("c", "generate_series(1, 3)"))
    add(app, on_reference="skip", batch_size=4)
    assert {row.row_data["id"] for row in app.preview("p") if "blocked: referenced by app.c (c_parent_fkey)" in row.why} == {1, 2, 3}
    assert app.dry_run("p").blocked_rows == 3 and app.dry_run("p").dependent_rows == 0
    _, told = run(app, status="partial", rows=7, skipped_rows=3, dependent_rows=0)
    assert "referenced by rows that stay in app.c" in told, told
    assert ids(app, "p", "id <= 10") == ids(app, "c", "parent IS NOT NULL") == [1, 2, 3]
    app.sql("DELETE FROM app.c WHERE id = 2")
    run(app, status="partial", rows=1, skipped_rows=2)


@pytest.mark.parametrize("action", ACTIONS, ids=["no_action", "cascade", "set_null", "restrict"])
def test_error(app, action):
    create(app, child("c", action) + "INSERT INTO c VALUES (1, 7), (2, 11)")
    add(app, on_reference="error")
    done, _ = run(app, status="failed", rows=0)
    for word in ("app.c", "c_parent_fkey", "app.p", '{"id": 7}'):
        assert word in done.message, done.message
    assert len(ids(app, "p")) == 20 and len(ids(app, "c")) == 2
    # A reference to a row that is not due is none of its business.
    app.sql("DELETE FROM app.c WHERE id = 1")
    run(app, rows=10)


def test_skip_takes_a_chain_from_its_end(app):
    """What a batch deletes no longer references anything; a row that references itself is referenced by nobody else."""
    create(app, "ALTER TABLE p ADD peer int REFERENCES p ON DELETE CASCADE; CREATE INDEX ON p (peer);"
                "UPDATE p SET peer = CASE id WHEN 2 THEN 1 WHEN 3 THEN 2 WHEN 4 THEN 3 WHEN 5 THEN 5 WHEN 11 THEN 6 WHEN 7 THEN 8 WHEN 8 THEN 7 END")
    add(app, on_reference="skip", batch_size=2)
    # 6 is referenced by a young row; 7 and 8 reference each other, and neither goes first.
    assert (app.dry_run("p").eligible_rows, app.dry_run("p").blocked_rows) == (10, 3)
    run(app, status="partial", rows=7, skipped_rows=3)
    assert ids(app, "p", "id <= 10") == [6, 7, 8]
    assert app.value("SELECT count(*) FROM app.p WHERE id > 10") == 10


def test_skip_of_a_partitioned_target(app):
    create(app, """CREATE TABLE part (id int PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id);
        CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (10);
        CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (10) TO (100);
        INSERT INTO part SELECT n, now() - interval '60 days' FROM generate_series(1, 20) n;
        CREATE TABLE item (id int PRIMARY KEY, part int REFERENCES part ON DELETE CASCADE, b int REFERENCES part_b ON DELETE SET NULL);
        INSERT INTO item VALUES (1, 4, 12), (2, 15, NULL)""")
    add(app, "part", on_reference="skip")
    run(app, "part", "partial", rows=17, skipped_rows=3)
    assert ids(app, "part") == [4, 12, 15] and len(ids(app, "item")) == 2


def test_a_reference_that_comes_while_we_run(app):
    """Made by a session that holds the row: the row is skipped, and so it is once that is committed."""
    create(app, child("c", "ON DELETE CASCADE"))
    add(app, on_reference="skip")
    other = app.connect(autocommit=False)
    with other.cursor() as cursor:
        cursor.execute("INSERT INTO app.c VALUES (1, 5)")
        run(app, status="partial", rows=9, skipped_rows=1)
        other.commit()
    other.close()
    run(app, status="partial", rows=0, skipped_rows=1)
    assert ids(app, "p", "id <= 10") == [5] and ids(app, "c") == [1]


def test_references_made_all_the_time(app):
    """Not one of them goes, whenever it was committed."""
    create(app, child("c", "ON DELETE CASCADE") + "INSERT INTO p (id) SELECT n FROM generate_series(100, 1500) n")
    add(app, on_reference="skip", batch_size=10)
    busy, stop = threading.Event(), threading.Event()

    def application():
        made = 0
        other = app.connect()
        with other.cursor() as cursor:
            for n in range(1500, 99, -1):
                if stop.is_set():
                    break
                cursor.execute("INSERT INTO app.c SELECT id, id FROM app.p WHERE id = %s FOR KEY SHARE", [n])
                made += cursor.rowcount
                busy.set()
        other.close()
        return made

    caller = Background(application)
    assert busy.wait(60)
    done = app.run("p")
    stop.set()
    made = caller.result()
    assert done.status in ("succeeded", "partial"), done
    assert len(ids(app, "c")) == made > 0


@pytest.mark.parametrize("mode", ["skip", "error"])
@pytest.mark.parametrize("action, status", [("ON DELETE CASCADE", "failed"), ("ON DELETE SET NULL", "failed"), ("", "partial")])
def test_what_may_not_be_read(app, mode, action, status):
    """What another owner's hidden table would lose, nobody knows: nothing goes. What blocks speaks for itself."""
    app.sql("CREATE SCHEMA yard AUTHORIZATION neighbour; GRANT USAGE ON SCHEMA app TO neighbour; GRANT REFERENCES, SELECT ON app.p TO neighbour")
    create(app, f"SET search_path = yard, app; CREATE TABLE yard.tree (id int PRIMARY KEY, parent int REFERENCES app.p {action});"
                "INSERT INTO yard.tree VALUES (1, 3)", role="neighbour")
    add(app, on_reference=mode)
    done, told = run(app, status=status, rows=0 if status == "failed" else 9)
    if status == "failed":
        assert "yard.tree" in done.message and "tree_parent_fkey" in done.message and app.owner in done.message, done.message
    else:
        assert "23503" in told, told
    assert app.value("SELECT parent FROM yard.tree") == 3
