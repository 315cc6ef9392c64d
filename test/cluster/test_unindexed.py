"""A run that would read a large table for each deleted row is refused before it deletes anything, and said so beforehand."""

import pytest

from surface import Cleanup


@pytest.fixture
def parents(shared_server, db):
    cleanup = Cleanup(shared_server, db)
    cleanup.sql("""
        CREATE TABLE parent (id bigint PRIMARY KEY, at timestamptz, meeting_id int);
        CREATE TABLE child (id bigint PRIMARY KEY, parent_id bigint CONSTRAINT to_parent REFERENCES parent ON DELETE CASCADE);
        CREATE TABLE meeting (id bigint PRIMARY KEY);
        INSERT INTO parent SELECT n, now() - n * interval '1 day', n FROM generate_series(1, 100) n;
        INSERT INTO child SELECT n, n % 100 + 1 FROM generate_series(1, 5000) n;
        ANALYZE""")
    cleanup.add_policy("parents", "parent", "at", "30 days")
    yield cleanup
    cleanup.close()


def set_limit(cleanup, rows):
    cleanup.sql(f'ALTER DATABASE "{cleanup.dbname}" SET pg_cleanup.max_unindexed_reference_rows = {rows}')
    cleanup.close()


def warnings(cleanup):
    return [warning for warning in cleanup.value("SELECT warnings FROM cleanup_dry_run('parents')") if "without an index" in warning]


def checks(cleanup):
    return [(row.status, row.hint) for row in cleanup.rows("SELECT * FROM cleanup_check() WHERE check_name = 'reference_index'")]


def test_foreign_key(parents):
    statement = "CREATE INDEX CONCURRENTLY ON public.child (parent_id);"
    assert checks(parents) == [("warning", statement)]
    set_limit(parents, 4000)
    (warning,) = warnings(parents)
    assert warning.startswith("A run now would be refused: public.child (about 5000 rows) references public.parent (to_parent)")
    assert checks(parents) == [("error", statement)]
    done = parents.run("parents")
    assert (done.status, done.rows) == ("failed", 0)
    assert "max_unindexed_reference_rows (4000)" in done.message and statement in done.message
    assert parents.value("SELECT count(*) FROM parent") == 100
    # A small enough table is only warned of; with the index nothing is left to say.
    set_limit(parents, 5000)
    (warning,) = warnings(parents)
    assert warning.startswith("public.child (about 5000 rows)")
    parents.sql(statement)
    assert warnings(parents) == [] and checks(parents)[0][0] == "ok"
    set_limit(parents, 0)
    assert parents.run("parents").status == "succeeded"
    assert parents.value("SELECT max(id) FROM parent") in (29, 30)


def test_no_limit(parents):
    set_limit(parents, -1)
    assert parents.run("parents").status == "succeeded"
    assert parents.value("SELECT count(*) FROM child WHERE parent_id > 31") == 0


def test_relations_on_both_sides(parents):
    parents.sql("CREATE INDEX ON child (parent_id); CREATE TABLE note (parent_id bigint); INSERT INTO note SELECT n % 100 FROM generate_series(1, 3000) n;"
                "ANALYZE note")
    assert warnings(parents) == []
    parents.sql("""SELECT cleanup_add_relation('parents', 'note', '{"id": "parent_id"}', false);
        SELECT cleanup_add_relation('parents', 'meeting', '{"meeting_id": "id"}')""")
    assert [warning.split(":")[0] for warning in warnings(parents)] == [
        "public.note (about 3000 rows) references public.parent (relation to public.note (id = parent_id)) without an index",
        "public.parent (about 100 rows) references public.meeting (relation to public.meeting (meeting_id = id)) without an index"]
    set_limit(parents, 1000)
    assert parents.run("parents").status == "failed"
    parents.sql("CREATE INDEX ON note (parent_id); CREATE INDEX ON parent (meeting_id)")
    assert warnings(parents) == []
    # What is behind a related table counts, too.
    parents.sql("CREATE TABLE guest (meeting_id bigint REFERENCES meeting ON DELETE CASCADE)")
    assert [warning.split(" (")[0] for warning in warnings(parents)] == ["public.guest"]


def test_a_partition_without_the_index(parents):
    """Only that one is read."""
    parents.sql("""CREATE INDEX ON child (parent_id);
        CREATE TABLE part (id int, parent_id bigint REFERENCES parent ON DELETE CASCADE) PARTITION BY RANGE (id);
        CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (1000); CREATE INDEX ON part_a (parent_id);
        CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (1000) TO (2000);
        INSERT INTO part SELECT n, 1 + n % 100 FROM generate_series(1, 1100) n; ANALYZE part""")
    set_limit(parents, 100)
    (warning,) = warnings(parents)
    assert warning.startswith("A run now would be refused: public.part (about 1100 rows)") and "ON public.part_b (" in warning, warning
    set_limit(parents, 101)
    (warning,) = warnings(parents)
    assert warning.startswith("public.part (about 1100 rows)") and "part_a" not in warning, warning
    assert parents.run("parents").status == "succeeded"
    assert parents.value("SELECT count(*) FROM part WHERE parent_id > 31") == 0
