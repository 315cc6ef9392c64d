"""Random graphs of up to eight tables: what a run leaves is what the family rules say (family_model.py), row for row; the dry
run said so before, and a second run finds nothing left to do.

PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import pytest

from graph_checks import Wrong, numbers
from graph_runs import check_run
from pgserver import SOAK
from random_graphs import Graph
from surface import Cleanup

GRAPHS = 1000 if SOAK else 24
CHUNKS = 10 if SOAK else 2


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def check_graph(cleanup, graph, chance):
    check_run(cleanup, graph, {"batch_size": chance.choice([None, None, 1, 2, 5, 1000]), "on_reference": chance.choice(["follow"] * 5 + ["skip"])})


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_runs_do_what_the_model_says(cleanup, seed, chunk):
    failed = []
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance)
        graph.create(cleanup)
        try:
            check_graph(cleanup, graph, chance)
        except Wrong as error:
            failed.append(number)
            print(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{error}\n")
            cleanup.sql("DELETE FROM cleanup_policies")
    assert not failed, f"graphs {failed} of PG_CLEANUP_SEED={seed}"


def test_row_that_is_kept_and_changed(cleanup):
    """A trigger keeps the child from CASCADE, and another key sets it to NULL: it is still there, if not where it was."""
    cleanup.sql("""
        CREATE TABLE parent (id int PRIMARY KEY, at timestamptz NOT NULL);
        CREATE TABLE child (id int PRIMARY KEY, owner int CONSTRAINT a REFERENCES parent ON DELETE SET NULL,
          parent int CONSTRAINT b REFERENCES parent ON DELETE CASCADE);
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER keep BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION keep();
        INSERT INTO parent SELECT n, now() - interval '40 days' FROM generate_series(1, 3) n;
        INSERT INTO child VALUES (1, 2, 2)""")
    cleanup.add_policy("p", "parent", "at", "30 days")
    done = cleanup.run("p")
    assert (done.status, done.rows, done.dependent_rows, done.skipped_rows) == ("partial", 2, 0, 1), done
    assert cleanup.rows("SELECT id, owner, parent FROM child") == [(1, 2, 2)]
    assert cleanup.rows("SELECT id FROM parent") == [(2,)]
