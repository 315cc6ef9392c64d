"""Random graphs with what is not the default: on_reference 'skip' and 'error', split_families, and tables of other owners.

PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import psycopg2
import pytest

from family_model import Families
from graph_checks import Wrong, numbers
from graph_runs import check_run, check_split
from pgserver import SOAK
from random_graphs import Graph
from surface import Cleanup

GRAPHS = 300 if SOAK else 4  # of each kind
CHUNKS = 3 if SOAK else 1
MOST = 4  # rows of a family that is not large
BATCH_SIZES = [None, None, 1, 2, 5, 1000]


@pytest.fixture(scope="module")
def cleanup(family_server):
    with family_server.database("options") as name:
        made = Cleanup(family_server, name)
        made.sql(f"ALTER DATABASE {name} SET pg_cleanup.max_family_rows = {MOST}")
        made.close()
        yield made
        made.close()


def skip(cleanup, graph, chance):
    graph.create(cleanup)
    check_run(cleanup, graph, {"batch_size": chance.choice(BATCH_SIZES), "on_reference": "skip"})


def error(cleanup, graph, chance):
    """Half of the graphs have a condition for rows that nothing references, and so do not fail."""
    graph.create(cleanup)
    if chance.random() < 0.5:
        with cleanup.connection.cursor() as cursor:
            rows = graph.contents(cursor)
        graph.relations = [relation for relation in graph.relations if not relation.unless_referenced]
        referenced = {n for _, n in Families(graph, rows, set(), skips=True).referenced}
        graph.condition = f"({graph.condition or 'true'}) AND n <> ALL ('{{{','.join(map(str, sorted(referenced)))}}}')"
    check_run(cleanup, graph, {"batch_size": chance.choice(BATCH_SIZES), "on_reference": "error"})


def others(cleanup, graph, chance):
    graph.create(cleanup)
    graph.give_away(cleanup, "parents", "neighbour")
    check_run(cleanup, graph, {"batch_size": chance.choice(BATCH_SIZES), "on_reference": chance.choice(["follow"] * 5 + ["skip", "error"])})


def split(cleanup, graph, chance):
    graph.vetoing, graph.freezing = set(), set()
    for table in graph.tables.values():
        for row in table.data:
            row["kept"] = row["frozen"] = False
    graph.create(cleanup)
    check_split(cleanup, graph, {"batch_size": chance.choice(BATCH_SIZES)}, MOST)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("kind", [skip, error, others, split], ids=lambda kind: kind.__name__)
def test_runs_do_what_the_model_says(cleanup, seed, kind, chunk):
    failed = []
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance)
        try:
            kind(cleanup, graph, chance)
        except (Wrong, psycopg2.Error) as problem:
            failed.append(number)
            print(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{graph if isinstance(problem, psycopg2.Error) else ''}\n{problem}\n")
            cleanup.sql("DELETE FROM cleanup_policies")
    assert not failed, f"graphs {failed} of PG_CLEANUP_SEED={seed}"
