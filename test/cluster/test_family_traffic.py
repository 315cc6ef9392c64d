"""Random graphs under traffic: while runs delete families, other sessions renew, insert and re-parent rows. No family is ever
torn, nothing renewed is gone, and nobody ever sees a constraint or relation broken. In the end a quiet run does exactly what the
model says of what is left.

PG_CLEANUP_SEED repeats the graphs (not the timing); PG_CLEANUP_GRAPH=n takes the n-th alone.
"""

import pytest

from family_model import expected
from graph_checks import Wrong, check, dangling, differences, numbers, unequal
from graph_traffic import Application, Witness, watch_deletes
from pgserver import SOAK
from random_graphs import Graph
from surface import Cleanup

GRAPHS = 300 if SOAK else 8
CHUNKS = 10 if SOAK else 2
RUNS = 2  # under traffic


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def torn(cursor, graph):
    """Rows that went for no reason: neither due themselves, nor with a row that took them along in the same transaction."""
    reasons = [f"(g.tbl = '{graph.target}' AND g.by_part AND (g.old ->> 'at')::timestamptz < now() - interval '30 days'"
               " AND g.old ->> 'at' <> '-infinity'"
               f" AND (SELECT {graph.condition or 'true'} FROM (SELECT (g.old ->> 'grp')::int, (g.old ->> 'code')::int) o (grp, code)))"]
    match = lambda pairs: " AND ".join(f"(g.old ->> '{mine}') = (p.old ->> '{theirs}')" for mine, theirs in pairs)  # noqa: E731
    for key in graph.keys:
        if key.action == "CASCADE":
            reasons.append(f"(g.tbl = '{key.child}' AND EXISTS (SELECT FROM {graph.schema}.gone p WHERE p.xact = g.xact"
                           f" AND p.tbl = '{key.parent}' AND {match(zip(key.columns, key.parent_columns))}))")
    for relation in graph.relations:
        reasons.append(f"(g.tbl = '{relation.related}' AND EXISTS (SELECT FROM {graph.schema}.gone p WHERE p.xact = g.xact"
                       f" AND p.tbl = '{graph.target}' AND {match((theirs, mine) for mine, theirs in relation.on_columns.items())}))")
    cursor.execute(f"SELECT tbl, n, old FROM {graph.schema}.gone g WHERE ({' OR '.join(reasons)}) IS NOT TRUE")
    return [f"went for no reason: {row}" for row in cursor.fetchall()]


def check_busy_runs(cleanup, graph, chance):
    """How many rows the runs deleted, and how much the application did meanwhile."""
    witness = Witness(cleanup, graph)
    with cleanup.connection.cursor() as cursor:
        rows = graph.contents(cursor)
        with witness, Application(cleanup, graph, chance) as application:
            done = [cleanup.run("p") for _ in range(RUNS)]
        found = graph.contents(cursor)
        wrong = [f"somebody got {each.error!r}" for each in (application, witness) if each.error is not None]
        wrong += [f"{run}" for run in done if run.status not in ("succeeded", "partial")]
        wrong += [f"seen broken: {name}" for name in sorted(witness.wrong)] + torn(cursor, graph) + dangling(cursor, graph)
        if graph.target not in graph.dependent_tables():
            wrong += [f"renewed, and gone: {n}" for n in sorted(application.renewed) if (graph.target, n) not in found]
        check(not wrong, graph, rows, *wrong)
    return sum(run.rows for run in done), application.rounds


def check_quiet_run(cleanup, graph):
    with cleanup.connection.cursor() as cursor:
        rows, eligible = graph.contents(cursor), graph.eligible(cursor)
        want = expected(graph, rows, eligible)
        done = cleanup.run("p")
        wrong = differences(graph.contents(cursor), want.after) + dangling(cursor, graph) + torn(cursor, graph)
        left = want.eligible - want.gone
        wrong += unequal("quiet run", done, status="partial" if left else "succeeded", skipped_rows=len(left))
        check(not wrong, graph, rows, f"eligible {sorted(eligible)}", done, *wrong)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_families_under_traffic(cleanup, seed, chunk):
    failed, deleted, transactions = [], 0, 0
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance, most_rows=30)
        graph.create(cleanup)
        watch_deletes(cleanup, graph)
        try:
            graph.add_policy(cleanup, "p", batch_size=chance.choice([1, 1, 3, 20]))
            more_deleted, more_transactions = check_busy_runs(cleanup, graph, chance)
            deleted, transactions = deleted + more_deleted, transactions + more_transactions
            check_quiet_run(cleanup, graph)
        except Wrong as error:
            failed.append(number)
            print(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{error}\n")
        cleanup.sql("DELETE FROM cleanup_policies")
    print(f"{deleted} rows deleted, {transactions} transactions meanwhile")
    assert not failed, f"graphs {failed} of PG_CLEANUP_SEED={seed}"
    assert deleted > 0 and transactions > 0
