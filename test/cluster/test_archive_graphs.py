"""Random graphs of up to eight tables: a run that archives, and a restore, give back the same database, row for row.

PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import os

import pytest

from archives import restore
from graph_checks import numbers
from pgserver import SOAK
from random_graphs import Graph
from surface import Cleanup

GRAPHS = 300 if SOAK else 16
CHUNKS = 6 if SOAK else 2


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def everything(cleanup, graph):
    """Whole rows of all tables, however they are stored."""
    return {table: sorted(row[0] for row in cleanup.rows(f"SELECT to_jsonb(t)::text FROM {graph.schema}.{table} t"))
            for table in graph.tables}


def in_archives(cleanup, graph):
    names = [row.name for row in cleanup.rows("SELECT archive::text AS name FROM cleanup_archives")]
    return {name: cleanup.value(f"SELECT count(*) FROM {name}") for name in names}


def archive_and_restore(cleanup, graph, chance):
    """What was wrong, and how many rows had gone."""
    # Without triggers: a counter that a trigger keeps counts again what comes back.
    graph.add_policy(cleanup, "p", action="archive", batch_size=chance.choice([None, None, 1, 3, 1000]))
    before = everything(cleanup, graph)
    done = cleanup.run("p")
    if done.status not in ("succeeded", "partial"):
        return [str(done)], 0
    after = everything(cleanup, graph)
    gone = sum(len(before[table]) - len(after[table]) for table in before)
    wrong = []
    if gone or after != before:
        tables, conflicts = restore(cleanup, done.run_id)
        wrong += [f"{row.name}: {row.status} {row.message}" for row in tables.values() if row.status != "succeeded"]
        wrong += [f"stays: {row.name} {row.row_key} {row.message}" for row in conflicts]
        found = everything(cleanup, graph)
        for table in before:
            wrong += [f"{table}: missing {row}" for row in before[table] if row not in found[table]]
            wrong += [f"{table}: has {row}" for row in found[table] if row not in before[table]]
        wrong += [f"{rows} rows in {name}" for name, rows in in_archives(cleanup, graph).items() if rows]
    cleanup.drop_policy("p")
    cleanup.sql("DELETE FROM cleanup_archives")
    return wrong, gone


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_archive_then_restore_is_nothing(cleanup, seed, chunk):
    failed, gone = [], 0
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance, triggers=False)
        graph.create(cleanup)
        wrong, rows = archive_and_restore(cleanup, graph, chance)
        gone += rows
        if wrong:
            failed.append(number)
            print(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}", *wrong[:20], *[key for key in graph.keys], sep="\n")
            cleanup.sql("DELETE FROM cleanup_policies; DELETE FROM cleanup_archives")
    assert not failed, f"graphs {failed} of PG_CLEANUP_SEED={seed}"
    assert gone > 0 or "PG_CLEANUP_GRAPH" in os.environ
