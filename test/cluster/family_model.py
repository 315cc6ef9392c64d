"""What the family rules say of a random graph, in plain Python over the rows as they were: which rows go, which are set to NULL
or to their default. It knows the rules and the declared constraints, nothing of how a run works.

A family is an eligible row with all that CASCADE and relations take along. It goes whole or stays. It stays when anything in
it is referenced by RESTRICT or NO ACTION from a row that stays, or when a trigger keeps anything in it; a blocker that itself
goes is none. Of all sets of families that may go together, the greatest goes.
"""

import dataclasses

from random_graphs import Graph


@dataclasses.dataclass
class Outcome:
    """What is to be expected."""
    eligible: set = dataclasses.field(default_factory=set)  # as (table, n), as all below
    blocked: set = dataclasses.field(default_factory=set)  # eligible, and held back by a reference
    gone: set = dataclasses.field(default_factory=set)
    changed: set = dataclasses.field(default_factory=set)  # rows that stay, and that SET NULL or SET DEFAULT changed
    after: dict = dataclasses.field(default_factory=dict)  # {(table, n): row}


class Families:
    """The rows of one moment, and what ties them."""

    def __init__(self, graph: Graph, rows, eligible, triggers=True, skips=False):
        """skips: with on_reference 'skip' or 'error', where any reference keeps a row of the target."""
        self.graph, self.rows, self.skips = graph, rows, skips
        self.referenced = set()  # rows that stay whoever goes, since something references them
        self.eligible = {(graph.target, n) for n in eligible}
        self.musts = {row: set() for row in rows}  # what goes with a row
        self.mays = {row: set() for row in rows}  # what goes with it unless another row of the target uses it
        self.users = {}  # of such a row: the rows that match it, of the target, or of what it is a partition of
        self.blockers = {row: set() for row in rows}  # what must be gone for the row to go
        self.setters = {row: [] for row in rows}  # (row that is changed when this one goes, key)
        self.vetoed = {row for row in rows if triggers and rows[row]["kept"]}
        self.frozen = {row for row in rows if triggers and rows[row]["frozen"]}
        for key in graph.keys:
            self._follow(key)
        for relation in graph.relations:
            self._relate(relation)

    def pairs_of(self, key):
        """(parent, child) of each row that references another by the key."""
        parents, pairs = {}, []
        for row in self._rows_of(key.parent, key.parent_part):
            parents[tuple(self.rows[row][column] for column in key.parent_columns)] = row
        for child in self._rows_of(key.child, key.child_part):
            values = tuple(self.rows[child][column] for column in key.columns)
            if None not in values and values in parents:
                pairs.append((parents[values], child))
        return pairs

    def _follow(self, key):
        for parent, child in self.pairs_of(key):
            skipped = self.skips and parent[0] == self.graph.target and self.graph.tables[parent[0]].holds(self.graph.part, parent[1])
            # Another owner's row never counts as one that goes.
            if (skipped or key.blocks and key.child in self.graph.foreign) and child != parent:
                self.referenced.add(parent)
            elif key.action == "CASCADE":
                self.musts[parent].add(child)
            elif key.blocks:
                self.blockers[parent].add(child)
            else:
                self.setters[parent].append((child, key))

    def pairs_of_relation(self, relation, part):
        """(row of the target, or of this partition of its table, related row) that match."""
        return [(root, other) for root in self._rows_of(self.graph.target, part)
                for other in self._rows_of(relation.related, None)
                if all(self.rows[root][column] is not None and self.rows[root][column] == self.rows[other][name]
                       for column, name in relation.on_columns.items())]

    def _relate(self, relation):
        for root, other in self.pairs_of_relation(relation, None):
            if relation.unless_referenced:  # rows of other partitions of the target's table use it as well
                self.users.setdefault(other, set()).add(root)
        for root, other in self.pairs_of_relation(relation, self.graph.part):
            if relation.unless_referenced:
                self.mays[root].add(other)
            else:
                self.musts[root].add(other)

    def _rows_of(self, table, part):
        return [row for row in self.rows if row[0] == table and self.graph.tables[table].holds(part, row[1])]

    def going(self):
        """The greatest set of rows that may go: whatever cannot go is taken out until nothing is left to take out."""
        roots, kept_back = set(self.eligible), set()
        while True:
            going = self.closure(roots, kept_back)
            bad = self._tied_to({row for row in going if self._stays(row, going)}, going)
            # What is used elsewhere, or cannot go, stays; the row that would have taken it along may go all the same. A user
            # that itself goes for the sake of something shared is one that stays: it would not go for a reason of its own.
            firm = self.closure(roots, set(self.users))
            kept_back_now = {row for row in self.users if row in going and (row in bad or self.users[row] - firm)} - kept_back
            if not kept_back_now and not roots & bad:
                return going
            if kept_back_now:
                kept_back |= kept_back_now
            else:
                roots -= bad

    def closure(self, roots, kept_back):
        """The roots and all that goes along."""
        found, waiting = set(roots), list(roots)
        while waiting:
            row = waiting.pop()
            for other in self.musts[row] | (self.mays[row] - kept_back):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def _stays(self, row, going):
        return (row in self.vetoed or row in self.referenced or self.blockers[row] - going
                or any(child in self.frozen and child not in going for child, _ in self.setters[row]))

    def _tied_to(self, bad, going):
        """The rows that cannot go because something that must go with them cannot."""
        bad = set(bad)
        while more := {row for row in going - bad if self.musts[row] & bad}:
            bad |= more
        return bad


def expected(graph, rows, eligible, triggers=True):
    """What a run leads to. triggers: whether they keep what they keep, which no dry run knows."""
    outcome = Outcome(eligible={(graph.target, n) for n in eligible}, after={row: dict(values) for row, values in rows.items()})
    families = Families(graph, rows, eligible, triggers)
    outcome.gone = families.going()
    outcome.blocked = outcome.eligible - outcome.gone
    carry_out(graph, families, outcome)
    return outcome


def step_by_step(graph, rows, eligible, families_of):
    """What comes of it when what goes frees others, until nothing is free. families_of(rows, eligible, gone): at each step."""
    outcome = Outcome(eligible={(graph.target, n) for n in eligible}, after={row: dict(values) for row, values in rows.items()})
    gone = set()
    while True:
        left = outcome.eligible & outcome.after.keys()
        families = families_of(outcome.after, {n for _, n in left}, gone)
        outcome.gone = families.going()
        if not outcome.gone:
            outcome.gone, outcome.blocked = gone, left
            outcome.changed -= gone
            return outcome
        carry_out(graph, families, outcome)
        gone |= outcome.gone


def expected_in_several_batches(graph, rows, eligible):
    """What a run of several batches may lead to as well. Rows that went free others: what went for the sake of something shared
    needs nothing that it shared itself any more, which goes with the last row that shares it; and what another owner's row
    blocks, of which nobody knows when it goes, is free once it has gone."""
    users = Families(graph, rows, eligible).users

    def families_of(after, left, gone):
        families = Families(graph, after, left)
        families.eligible |= {shared for shared, by in users.items() if by <= gone and shared in after}
        return families

    return step_by_step(graph, rows, eligible, families_of)


def expected_of_skip(graph, rows, eligible, triggers=True):
    """on_reference 'skip': no row of the target goes that anything references, but itself; what goes frees others. Relations
    that take related rows along in any case are as ever."""
    return step_by_step(graph, rows, eligible, lambda after, left, _: Families(graph, after, left, triggers, skips=True))


def expected_of_error(graph, rows, eligible):
    """on_reference 'error': nothing at all when a due row is referenced; otherwise as 'skip'. None: it fails."""
    families = Families(graph, rows, eligible, skips=True)
    return None if families.referenced & families.eligible else expected_of_skip(graph, rows, eligible)


def carry_out(graph, families, outcome):
    """Takes what is gone out of outcome.after, and does there what that sets and counts."""
    rows = outcome.after
    for row in outcome.gone:
        for child, key in families.setters[row]:
            if child not in outcome.gone:
                defaults = graph.tables[key.child].defaults
                rows[child] |= {column: defaults[column] if key.action == "SET DEFAULT" else None for column in key.set_columns}
                outcome.changed.add(child)
    for key in graph.counters:
        parents = {rows[row][key.parent_columns[0]]: row for row in rows if row[0] == key.parent}
        for row in outcome.gone:
            value = rows[row][key.columns[0]] if row[0] == key.child else None
            if value is not None and value in parents:
                rows[parents[value]]["children"] -= 1
    for row in outcome.gone:
        del rows[row]


def rows_by_link(graph, rows, outcome):
    """Of each key that takes along or sets, and each relation: the rows that go by it without being due, or that it changes."""
    families, found = Families(graph, rows, {n for _, n in outcome.eligible}, triggers=False), {}
    for key in graph.keys:
        if not key.blocks:
            reached = {child for parent, child in families.pairs_of(key) if parent in outcome.gone and parent != child}
            found[key.name] = reached - outcome.gone if key.sets else reached & outcome.gone - outcome.eligible
    for relation in graph.relations:
        reached = {other for root, other in families.pairs_of_relation(relation, graph.part) if root in outcome.gone}
        columns = sorted(f"{column} = {name}" for column, name in relation.on_columns.items())
        found[relation.related, tuple(columns)] = reached & outcome.gone - outcome.eligible
    return found
