"""The model of the family rules (family_model.py) against PostgreSQL itself, on random graphs of up to eight tables: what it
lets go PostgreSQL lets go in one statement, with the same result; and no further set of eligible rows could have gone.

PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import itertools
import os

import psycopg2
import pytest

from family_model import Families, expected
from graph_checks import Wrong, check, dangling, differences, numbers
from pgserver import SOAK
from random_graphs import Graph
from surface import Cleanup

GRAPHS = 300 if SOAK else 20
MOST_STAYING = 5  # of which every set is tried


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def delete(cursor, graph, rows):
    """Deletes these rows in one statement, and says whether that worked: no constraint and no trigger against it."""
    parts, wanted = [], {}
    for table in graph.tables:
        wanted[table] = {n for name, n in rows if name == table}
        parts.append(f"{table} AS (DELETE FROM {graph.schema}.{table} WHERE n = ANY (%s) RETURNING n)")
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in graph.tables)
    cursor.execute("SAVEPOINT attempt")
    try:
        cursor.execute(f"WITH {', '.join(parts)} SELECT {counts}", [list(wanted[table]) for table in graph.tables])
        done = cursor.fetchone() == tuple(len(wanted[table]) for table in graph.tables)
    except psycopg2.IntegrityError:
        done = False
    if not done:
        cursor.execute("ROLLBACK TO attempt")
    return done


def check_model(cleanup, graph):
    connection = cleanup.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        rows, eligible = graph.contents(cursor), graph.eligible(cursor)
        once = expected(graph, rows, eligible)
        cursor.execute("SAVEPOINT start")
        check(delete(cursor, graph, once.gone), graph, rows, "does not go: ", sorted(once.gone))
        wrong = differences(graph.contents(cursor), once.after) + dangling(cursor, graph)
        check(not wrong, graph, rows, eligible, *wrong)
        cursor.execute("ROLLBACK TO start")
        tried = check_greatest(cursor, graph, rows, eligible, once)
        singles = sum(check_single(cursor, graph, rows, n) for n in sorted(eligible))
    connection.rollback()
    connection.close()
    return tried, singles


def check_greatest(cursor, graph, rows, eligible, once):
    """No set of the eligible rows that stay could have gone too."""
    families = Families(graph, rows, eligible)
    staying = sorted(families.eligible - once.gone)[:MOST_STAYING]
    tried = 0
    for size in range(1, len(staying) + 1):
        for some in itertools.combinations(staying, size):
            # Without what goes only if it can: it is never a reason for the row to stay.
            family = families.closure(set(some), set(families.users))
            cursor.execute("SAVEPOINT greatest")
            went = delete(cursor, graph, once.gone | family) and not dangling(cursor, graph)
            cursor.execute("ROLLBACK TO greatest")
            check(not went, graph, rows, "could have gone as well:", some)
            tried += 1
    return tried


def check_single(cursor, graph, rows, n):
    """A plain DELETE of one row, where PostgreSQL lets it go: then that is the model's family, without relations. Not where a
    row that goes is set to NULL, too: which comes first is by the names of the constraints, but CASCADE beats SET NULL here."""
    cursor.execute("SAVEPOINT single")
    try:
        cursor.execute(f"DELETE FROM {graph.target_name} WHERE n = %s", [n])
        found = graph.contents(cursor)
        torn = dangling(cursor, graph)
    except psycopg2.IntegrityError:
        return False
    finally:
        cursor.execute("ROLLBACK TO single")
    relations, graph.relations = graph.relations, []
    alone, families = expected(graph, rows, {n}), Families(graph, rows, {n})
    family = families.closure(families.eligible, set())
    graph.relations = relations
    if any(child in family for row in family for child, _ in families.setters[row]):
        return False
    if torn or family & found.keys():  # a trigger kept something: PostgreSQL tears, the rules do not
        check(not alone.gone, graph, rows, "must stay:", n)
        return False
    wrong = differences(found, alone.after)
    check(alone.gone and not wrong, graph, rows, "plain DELETE of", n, *wrong)
    return True


def test_model_says_what_postgresql_does(cleanup, seed):
    tried = singles = 0
    for number, chance in numbers(seed, 0, GRAPHS, 1):
        graph = Graph(chance)
        graph.create(cleanup)
        try:
            more_tried, more_singles = check_model(cleanup, graph)
        except Wrong as error:
            raise Wrong(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{error}") from None
        tried, singles = tried + more_tried, singles + more_singles
    if "PG_CLEANUP_GRAPH" not in os.environ:
        # How many there are to compare is up to chance.
        assert tried > GRAPHS / 5 and singles > GRAPHS / 5, (tried, singles)
