"""An application at work on a random graph, and a session that looks whether anything is ever wrong there."""

import threading

import psycopg2

NEW = 1000  # the numbers of rows that are inserted begin here


class Session(threading.Thread):
    """Works until it is stopped; `with` starts and stops it. error: what ended it."""

    def __init__(self, cleanup):
        super().__init__(daemon=True)
        self.connection = cleanup.connect(autocommit=False)
        self.error, self.rounds = None, 0
        self._stopped, self._worked = threading.Event(), threading.Event()

    def __enter__(self):
        self.start()
        while self.rounds < 3 and self.is_alive():
            self._worked.wait(0.01)
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join(60)
        assert not self.is_alive(), "a session hangs"
        self.connection.close()

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                while not self._stopped.is_set():
                    self.work(cursor)
                    self.rounds += 1
                    self._worked.set()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def work(self, cursor):
        raise NotImplementedError


class Application(Session):
    """Renews, ages, inserts, re-parents, touches and locks rows, a few in each transaction. What it tries and a constraint
    refuses, since a parent is gone meanwhile, it gives up; anything else, a deadlock too, is an error.

    renewed: the numbers of the target's rows that it renewed last, and committed."""

    def __init__(self, cleanup, graph, random):
        super().__init__(cleanup)
        self.graph, self.random, self.renewed, self.refused = graph, random, set(), 0
        self.new = NEW
        self.keys = [key for key in graph.keys if not graph.sharers(key)]

    def work(self, cursor):
        renewed, aged = set(), set()
        try:
            for _ in range(self.random.choice([1, 1, 2, 4])):
                self._change(cursor, renewed, aged)
            if self.random.random() < 0.1:
                self.connection.rollback()
                return
            self.connection.commit()
        except psycopg2.IntegrityError:
            self.connection.rollback()
            self.refused += 1
            return
        self.renewed = self.renewed - aged | renewed

    def _change(self, cursor, renewed, aged):
        graph, random = self.graph, self.random
        table = graph.tables[random.choice(list(graph.tables))]
        n = random.randrange(table.rows)
        what = random.choices(["renew", "age", "insert", "reparent", "free", "touch", "lock"], [3, 9, 1, 3, 5, 2, 1])[0]
        if what in ("renew", "age"):
            target = graph.tables[graph.target]
            row = random.randrange(target.rows - 1)
            cursor.execute(f"UPDATE {graph.schema}.{graph.target} SET at = now() - interval %s WHERE n = %s RETURNING n",
                           ["0" if what == "renew" else "40 days", row])
            done = {found[0] for found in cursor.fetchall()}
            (renewed if what == "renew" else aged).update(done)
            (aged if what == "renew" else renewed).difference_update(done)
        elif what == "insert":
            self.new += 1
            cursor.execute(f"INSERT INTO {graph.schema}.{table.name} (n, id, code, at, grp, kept, frozen, children)"
                           " VALUES (%s, %s, %s, now(), 1, false, false, 0)", [self.new, table.id_of(self.new), self.new % 3])
            keys = [key for key in self.keys if key.child == table.name]
            if keys:
                self._reparent(cursor, random.choice(keys), self.new)
        elif what == "reparent" and self.keys:
            key = random.choice(self.keys)
            self._reparent(cursor, key, random.randrange(graph.tables[key.child].rows - 1))
        elif what == "free" and self.keys:
            key = random.choice(self.keys)
            cursor.execute(f"UPDATE {graph.schema}.{key.child} SET {', '.join(f'{column} = NULL' for column in key.columns)}"
                           " WHERE n = %s OR n >= %s", [random.randrange(graph.tables[key.child].rows - 1), NEW])
        elif what == "touch":
            cursor.execute(f"UPDATE {graph.schema}.{table.name} SET note = note || '+' WHERE n = %s", [n])
        elif what == "lock":
            mode = random.choice(["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
            cursor.execute(f"SELECT FROM {graph.schema}.{table.name} WHERE n = %s FOR {mode}", [n])

    def _reparent(self, cursor, key, n):
        """To a row that is there, and that it may find gone by then: the constraint decides."""
        if not self.graph.tables[key.child].holds(key.child_part, n):
            return
        parent = self.random.choice(self.graph.tables[key.parent].rows_in(key.parent_part))
        cursor.execute(f"UPDATE {self.graph.schema}.{key.child} SET ({', '.join(key.columns)}) = (SELECT {', '.join(key.parent_columns)}"
                       f" FROM {self.graph.schema}.{key.parent} WHERE n = %s) WHERE n = %s", [parent, n])


class Witness(Session):
    """Looks at all constraints and relations, again and again, each time in one snapshot. wrong: what it saw broken."""

    def __init__(self, cleanup, graph):
        super().__init__(cleanup)
        self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        self.wrong = set()
        self.query = " UNION ALL ".join([self._key(graph, key) for key in graph.keys]
                                        + [self._relation(graph, number, relation) for number, relation in enumerate(graph.relations)
                                           if not (relation.unless_referenced and self._may_go_anyway(graph, relation))]
                                        + ["SELECT 'nothing', false"])

    @staticmethod
    def _key(graph, key):
        child, parent = (f"{graph.schema}.{name}{'_' + part if part else ''}"
                         for name, part in ((key.child, key.child_part), (key.parent, key.parent_part)))
        match = " AND ".join(f"p.{name} = c.{column}" for column, name in zip(key.columns, key.parent_columns))
        given = " AND ".join(f"c.{column} IS NOT NULL" for column in key.columns)
        return (f"SELECT '{key.name}', EXISTS (SELECT FROM {child} c WHERE {given}"
                f" AND NOT EXISTS (SELECT FROM {parent} p WHERE {match}))")

    @staticmethod
    def _may_go_anyway(graph, relation):
        """By CASCADE, whoever uses it."""
        return any(key.action == "CASCADE" and key.child == relation.related for key in graph.keys)

    @staticmethod
    def _relation(graph, number, relation):
        """A row of the target went and left a related row behind, or a related row went that a row of the target still uses."""
        match = lambda target, related: " AND ".join(  # noqa: E731
            f"{target(column)} = {related(name)}" for column, name in relation.on_columns.items())
        if relation.unless_referenced:
            return (f"SELECT 'relation {number}', EXISTS (SELECT FROM {graph.schema}.gone g, {graph.target_name} t"
                    f" WHERE g.tbl = '{relation.related}' AND {match(lambda c: f't.{c}::text', lambda c: _old(c))})")
        return (f"SELECT 'relation {number}', EXISTS (SELECT FROM {graph.schema}.gone g, {graph.schema}.{relation.related} r"
                f" WHERE g.tbl = '{graph.target}' AND g.by_part AND {match(lambda c: _old(c), lambda c: f'r.{c}::text')})")

    def work(self, cursor):
        cursor.execute(self.query)
        self.wrong |= {name for name, broken in cursor.fetchall() if broken}
        self.connection.commit()


def _old(column):
    return f"(g.old ->> '{column}')"


def watch_deletes(cleanup, graph):
    """From now on world.gone has each row that is deleted, as it was, and the transaction that did it."""
    statements = [f"CREATE TABLE {graph.schema}.gone (tbl text, n int, old jsonb, xact xid8 DEFAULT pg_current_xact_id(), by_part boolean)",
                  f"CREATE FUNCTION {graph.schema}.gone() RETURNS trigger LANGUAGE plpgsql AS"
                  f" $$ BEGIN INSERT INTO {graph.schema}.gone (tbl, n, old, by_part) VALUES (TG_ARGV[0], OLD.n, to_jsonb(OLD),"
                  f" TG_RELID IN (SELECT relid FROM pg_partition_tree('{graph.target_name}') UNION SELECT '{graph.target_name}'::regclass));"
                  " RETURN NULL; END $$"]
    statements += [f"CREATE TRIGGER gone AFTER DELETE ON {graph.schema}.{name} FOR EACH ROW EXECUTE FUNCTION {graph.schema}.gone('{name}')"
                   for name in graph.tables]
    cleanup.sql("; ".join(statements))
