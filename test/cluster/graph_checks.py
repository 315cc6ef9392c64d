"""What tests of random graphs have in common: which graphs, what is wrong with one, and how that is told."""

import os
import random

DULL = {"n", "note", "code", "grp", "at"}


class Wrong(AssertionError):
    """What is left is not what must be."""


def numbers(seed, first, count, step):
    """The graphs to test, by number, with their random. PG_CLEANUP_GRAPH takes one alone."""
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


def unequal(what, result, **wanted):
    return [f"{what}: {name} is {getattr(result, name)}, not {value}" for name, value in wanted.items()
            if getattr(result, name) != value]


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
