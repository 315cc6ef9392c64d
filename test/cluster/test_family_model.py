"""Random graphs of up to eight tables: what a run leaves is what the family rules say (family_model.py), row for row.

The model itself is tested against PostgreSQL: what it lets go PostgreSQL lets go in one statement, with the same result; and no
further set of eligible rows could have gone. PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import itertools
import os
import random

import psycopg2
import pytest

from family_model import Families, expected, expected_of_skip
from pgserver import SOAK
from random_graphs import Graph
from surface import Cleanup

GRAPHS = 1000 if SOAK else 24
CHUNKS = 10 if SOAK else 2
MODEL_GRAPHS = 300 if SOAK else 20
MOST_STAYING = 5  # of which every set is tried
DULL = {"n", "note", "code", "grp", "at"}


class Wrong(AssertionError):
    """What is left is not what must be."""


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def numbers(seed, first, count, step):
    """The graphs to test, by number, with their random."""
    only = os.environ.get("PG_CLEANUP_GRAPH")
    for number in range(first, count, step):
        if only is None or int(only) == number:
            yield number, random.Random(f"{seed}/{number}")


def explain(graph, rows, *more):
    """The graph and its rows, with what they say; and more lines."""
    lines = [str(graph), "rows:"]
    for (table, n), row in sorted(rows.items()):
        values = {column: value for column, value in row.items() if value not in (None, False) and column not in DULL}
        lines.append(f"  {table}/{n} {values}")
    return "\n".join([*lines, "", *map(str, more)])


def check(fine, graph, rows, *more):
    """assert, with an explanation that can be read."""
    if not fine:
        raise Wrong(explain(graph, rows, *more))


def differences(found, wanted):
    """Rows that are not as they should be; empty when all are."""
    wrong = [f"still there: {row}" for row in sorted(found.keys() - wanted.keys())]
    wrong += [f"gone: {row}" for row in sorted(wanted.keys() - found.keys())]
    wrong += [f"{row}: {column} is {value!r}, not {wanted[row][column]!r}" for row in sorted(found.keys() & wanted.keys())
              for column, value in found[row].items() if value != wanted[row][column]]
    return wrong


# -- the model, against PostgreSQL ------------------------------------------------------------------------------------------


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


def dangling(cursor, graph):
    """The names of keys that do not hold, whatever their triggers may have thought."""
    wrong = []
    for key in graph.keys:
        child = f"{graph.schema}.{key.child}{'_' + key.child_part if key.child_part else ''}"
        parent = f"{graph.schema}.{key.parent}{'_' + key.parent_part if key.parent_part else ''}"
        match = " AND ".join(f"p.{name} = c.{column}" for column, name in zip(key.columns, key.parent_columns))
        given = " AND ".join(f"c.{column} IS NOT NULL" for column in key.columns)
        cursor.execute(f"SELECT EXISTS (SELECT FROM {child} c WHERE {given} AND NOT EXISTS (SELECT FROM {parent} p WHERE {match}))")
        if cursor.fetchone()[0]:
            wrong.append(key.name)
    return wrong


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
    for number, chance in numbers(seed, 0, MODEL_GRAPHS, 1):
        graph = Graph(chance)
        graph.create(cleanup)
        try:
            more_tried, more_singles = check_model(cleanup, graph)
        except Wrong as error:
            raise Wrong(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{error}") from None
        tried, singles = tried + more_tried, singles + more_singles
    if "PG_CLEANUP_GRAPH" not in os.environ:
        assert tried > MODEL_GRAPHS / 2 and singles > MODEL_GRAPHS / 2, (tried, singles)


# -- runs, against the model ------------------------------------------------------------------------------------------------


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
            check(not wrong, graph, rows, *told, f"the model lets go {sorted(seen.gone)}", dry, *wrong)
        done = cleanup.run("p")
        found = graph.contents(cursor)
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


def unequal(what, result, **wanted):
    return [f"{what}: {name} is {getattr(result, name)}, not {value}" for name, value in wanted.items()
            if getattr(result, name) != value]


def audit_differences(cursor, graph, gone):
    """The application's own triggers saw each row go, once."""
    cursor.execute(f"SELECT tbl, n FROM {graph.schema}.audit")
    seen = sorted(cursor.fetchall())
    wanted = sorted(row for row in gone if row[0] in graph.audited)
    return [] if seen == wanted else [f"audited {seen}, not {wanted}"]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_runs_do_what_the_model_says(cleanup, seed, chunk):
    has_relations = cleanup.value("SELECT to_regprocedure('cleanup_add_relation(text,regclass,jsonb,boolean)') IS NOT NULL")
    failed = []
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance, relations=has_relations)
        graph.create(cleanup)
        try:
            check_run(cleanup, graph, chance)
        except Wrong as error:
            failed.append(number)
            print(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{error}\n")
            cleanup.sql("DELETE FROM cleanup_policies")
    assert not failed, f"graphs {failed} of PG_CLEANUP_SEED={seed}"
