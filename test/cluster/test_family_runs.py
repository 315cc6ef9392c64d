"""Random graphs of up to eight tables: what a run leaves is what the family rules say (family_model.py), row for row; the dry
run said so before, and a second run finds nothing left to do.

PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import pytest

from family_model import expected, expected_in_several_batches, expected_of_skip, rows_by_link
from graph_checks import Wrong, check, dangling, differences, numbers, unequal
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


def check_run(cleanup, graph, chance):
    """Dry run and run do what the model says; a second run finds nothing left to do."""
    policy = {"batch_size": chance.choice([None, None, 1, 2, 5, 1000]), "on_reference": chance.choice(["follow"] * 5 + ["skip"])}
    if policy["on_reference"] == "skip":
        graph.relations = []
    graph.add_policy(cleanup, "p", **policy)
    with cleanup.connection.cursor() as cursor:
        rows, eligible = graph.contents(cursor), graph.eligible(cursor)
        if policy["on_reference"] == "skip":
            want, seen = expected_of_skip(graph, rows, eligible), None
        else:
            want, seen = expected(graph, rows, eligible), expected(graph, rows, eligible, triggers=False)
        told = [policy, f"eligible {sorted(eligible)}"]
        dry = cleanup.dry_run("p")
        check(graph.contents(cursor) == rows, graph, rows, "the dry run changed something")
        if seen is not None:
            wrong = unequal("dry run", dry, eligible_rows=len(seen.eligible), blocked_rows=len(seen.blocked),
                            dependent_rows=len((seen.gone - seen.eligible) | seen.changed))
            wrong += detail_differences(cleanup, graph, rows_by_link(graph, rows, seen))
            check(not wrong, graph, rows, *told, f"the model lets go {sorted(seen.gone)}", dry, *wrong)
        done = cleanup.run("p")
        if policy["on_reference"] == "skip" and graph.tables[graph.target].partitioned:
            # What a later partition's rows free in an earlier one goes with the next run.
            while (more := cleanup.run("p")).rows > 0:
                done = more._replace(rows=done.rows + more.rows)
        found = graph.contents(cursor)
        if seen is not None and done.batches > 1 and found.keys() != want.after.keys():
            want = expected_in_several_batches(graph, rows, eligible)
        wrong = differences(found, want.after) + dangling(cursor, graph) + audit_differences(cursor, graph, want.gone)
        left = want.eligible & found.keys()
        wrong += unequal("run", done, status="partial" if left else "succeeded", skipped_rows=len(left))
        if done.rows + done.dependent_rows < len(want.gone | want.changed):
            wrong.append(f"run: {done.rows} + {done.dependent_rows} rows, not {len(want.gone)} + {len(want.changed)}")
        check(not wrong, graph, rows, *told, f"blocked {sorted(want.blocked)}", done, *wrong)
        again = cleanup.run("p")
        wrong = differences(graph.contents(cursor), found) + unequal("second run", again, rows=0, dependent_rows=0)
        check(not wrong, graph, rows, *told, done, again, *wrong)
    cleanup.drop_policy("p")
    return want


def detail_differences(cleanup, graph, wanted):
    """cleanup_dry_run_detail counts by each key and relation what the model says. Keys that block are not compared."""
    found = {}
    for row in cleanup.rows("SELECT dependent::text, link, action, rows FROM cleanup_dry_run_detail('p')"):
        if row.action == "relation":
            # "relation to world.t1 (s0 = id, s0_code = code)"
            columns = sorted(row.link[row.link.index("(") + 1:-1].split(", "))
            found[row.dependent.removeprefix(f"{graph.schema}."), tuple(columns)] = row.rows
        elif row.action not in ("NO ACTION", "RESTRICT"):
            found[row.link] = row.rows
    return [f"detail: {found.get(link)} rows by {link}, not {len(rows)}" for link, rows in wanted.items()
            if found.get(link, 0) != len(rows)]


def audit_differences(cursor, graph, gone):
    """The application's own triggers saw each row go, once."""
    cursor.execute(f"SELECT tbl, n FROM {graph.schema}.audit")
    seen = sorted(cursor.fetchall())
    wanted = sorted(row for row in gone if row[0] in graph.audited)
    return [] if seen == wanted else [f"audited {seen}, not {wanted}"]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_runs_do_what_the_model_says(cleanup, seed, chunk):
    failed = []
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance)
        graph.create(cleanup)
        try:
            check_run(cleanup, graph, chance)
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
