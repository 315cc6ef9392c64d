"""Random graphs: what the dry run and its detail say, total by total and link by link, is what the family rules say
(family_model.py). PG_CLEANUP_SEED repeats a run; PG_CLEANUP_GRAPH=n takes the n-th graph of it alone.
"""

import pytest

from family_model import Families
from graph_checks import Wrong, check, numbers, unequal
from pgserver import SOAK
from random_graphs import Graph, part_name
from surface import Cleanup

GRAPHS = 1000 if SOAK else 40
CHUNKS = 10 if SOAK else 2


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def references(graph, rows, key):
    """Pairs of rows (referenced, referencing), other than of a row with itself."""
    def rows_of(table, part):
        here = set(graph.tables[table].rows_in(part))
        return [row for row in rows if row[0] == table and row[1] in here]

    parents = {tuple(rows[row][column] for column in key.parent_columns): row for row in rows_of(key.parent, key.parent_part)}
    for child in rows_of(key.child, key.child_part):
        parent = parents.get(tuple(rows[child][column] for column in key.columns))
        if parent and parent != child and None not in [rows[child][column] for column in key.columns]:
            yield parent, child


def matches(graph, rows, relation):
    here = set(graph.tables[graph.target].rows_in(graph.part))
    for root in rows:
        if root[0] == graph.target and root[1] in here:
            for other in rows:
                if other[0] == relation.related and other != root and all(
                        rows[root][column] is not None and rows[root][column] == rows[other][name]
                        for column, name in relation.on_columns.items()):
                    yield root, other


class Seen:
    """What a dry run should say."""

    def __init__(self, graph, rows, eligible):
        families = Families(graph, rows, eligible, triggers=False)
        self.going = families.going()
        self.due = families.eligible
        self.candidates = families.closure(set(self.due), set())
        self.blocked = self.due - self.going
        self.changed = {child for row in self.going for child, _ in families.setters[row]} - self.going
        self.dependent = (self.going - self.due) | self.changed

    def count(self, pairs, action):
        if action in ("RESTRICT", "NO ACTION"):
            return len({row for first, row in pairs if first in self.candidates and row not in self.going})
        if action.startswith("SET"):
            return len({row for first, row in pairs if first in self.going and row not in self.going})
        return len({row for first, row in pairs if first in self.going and row in self.going - self.due})


def wanted_links(graph, rows, seen):
    """{(link, dependent table): rows}"""
    wanted = {(key.name, f"{graph.schema}.{part_name(key.child, key.child_part)}"):
              seen.count(list(references(graph, rows, key)), key.action) for key in graph.keys}
    for relation in graph.relations:
        table = f"{graph.schema}.{relation.related}"
        wanted["relation", table] = seen.count(list(matches(graph, rows, relation)), "relation")
    return wanted


def check_dry_run(cleanup, graph):
    graph.add_policy(cleanup, "p")
    with cleanup.connection.cursor() as cursor:
        rows, eligible = graph.contents(cursor), graph.eligible(cursor)
        seen = Seen(graph, rows, eligible)
        dry = cleanup.dry_run("p")
        details = cleanup.rows("SELECT *, dependent::text AS table_name FROM cleanup_dry_run_detail('p')")
        wrong = unequal("dry run", dry, eligible_rows=len(seen.due), blocked_rows=len(seen.blocked), dependent_rows=len(seen.dependent))
        wanted = wanted_links(graph, rows, seen)
        found = {}
        for row in details:
            name = ("relation" if row.action == "relation" else row.link, row.table_name)
            # Of a key of a partitioned table two partitions may be reached, and not the whole.
            wrong += [f"{name} came twice"] if name in found and row.path[-2][-2:] not in ("_a", "_b") else []
            found[name] = max(row.rows, found.get(name, 0))
        wrong += [f"{link}: {count} rows, not {wanted[link]}" for link, count in found.items() if count != wanted[link]]
        wrong += [f"{link}: not told, {count} rows" for link, count in wanted.items() if count and link not in found]
        wrong += [f"{row.link}: {row.path}" for row in details if row.path[-1] != row.table_name or row.path[0] != graph.target_name]
        check(graph.contents(cursor) == rows, graph, rows, "the dry run changed something")
        check(not wrong, graph, rows, f"eligible {sorted(eligible)}", f"going {sorted(seen.going)}", dry, *details, *wrong)
    cleanup.drop_policy("p")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_dry_run_says_what_the_model_says(cleanup, seed, chunk):
    failed = []
    for number, chance in numbers(seed, chunk, GRAPHS, CHUNKS):
        graph = Graph(chance)
        graph.create(cleanup)
        try:
            check_dry_run(cleanup, graph)
        except Wrong as error:
            failed.append(number)
            print(f"PG_CLEANUP_SEED={seed} PG_CLEANUP_GRAPH={number}\n{error}\n")
            cleanup.sql("DELETE FROM cleanup_policies")
    assert not failed, f"graphs {failed} of PG_CLEANUP_SEED={seed}"
