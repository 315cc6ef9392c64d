"""Random tables and foreign keys: what a dry run says is what PostgreSQL's own constraints then do."""

import random

import psycopg2
import pytest

from pgserver import SOAK
from surface import Cleanup

ROUNDS = 600 if SOAK else 12
COLUMNS = ("f0", "f1", "f2")
ACTIONS = ("NO ACTION", "NO ACTION", "CASCADE", "CASCADE", "CASCADE", "SET NULL", "SET DEFAULT")
KEPT = 5  # a row that is never due and references nothing, so that SET DEFAULT has something to point to


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


class World:
    """One to four tables, some partitioned, that reference each other in any way, cycles and themselves included."""

    def __init__(self, cleanup, chance):
        self.cleanup = cleanup
        self.chance = chance
        self.tables = {f"t{n}": chance.random() < 0.3 for n in range(chance.randint(1, 4))}
        cleanup.sql("DROP SCHEMA IF EXISTS world CASCADE; CREATE SCHEMA world; SET search_path = world, public")
        for table, partitioned in self.tables.items():
            self.create(table, partitioned)
        for table in self.tables:
            for column in COLUMNS:
                if chance.random() < 0.7:
                    self.reference(table, column)

    def create(self, table, partitioned):
        columns = ", ".join(f"{column} int DEFAULT {KEPT}" for column in COLUMNS)
        self.cleanup.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, at timestamptz, {columns})"
                         + (" PARTITION BY RANGE (id)" if partitioned else ""))
        if partitioned:
            # One partition has its columns in another order.
            self.cleanup.sql(f"CREATE TABLE {table}_b (f2 int DEFAULT {KEPT}, id int NOT NULL, f0 int DEFAULT {KEPT},"
                             f" at timestamptz, f1 int DEFAULT {KEPT});"
                             f"ALTER TABLE {table} ATTACH PARTITION {table}_b FOR VALUES FROM (3) TO (100);"
                             f"CREATE TABLE {table}_a PARTITION OF {table} FOR VALUES FROM (0) TO (3)")
        for row in range(KEPT + 1):
            due = row != KEPT and self.chance.random() < 0.6
            self.cleanup.sql(f"INSERT INTO {table} (id, at, f0, f1, f2) VALUES (%s, now() - %s * interval '1 day', NULL, NULL, NULL)",
                             [row, 40 if due else 1])

    def reference(self, table, column):
        referenced = self.chance.choice(list(self.tables))
        for row in range(KEPT):
            if self.chance.random() < 0.35:
                self.cleanup.sql(f"UPDATE {table} SET {column} = %s WHERE id = %s", [self.chance.randint(0, KEPT), row])
        deferred = self.chance.choice(["", " DEFERRABLE INITIALLY DEFERRED"])
        if self.chance.random() < 0.5:
            self.cleanup.sql(f"CREATE INDEX ON {table} ({column})")
        self.cleanup.sql(f"ALTER TABLE {table} ADD FOREIGN KEY ({column}) REFERENCES {referenced}"
                         f" ON DELETE {self.chance.choice(ACTIONS)}{deferred}")

    def targets(self):
        for table, partitioned in self.tables.items():
            yield table
            if partitioned:
                yield from (f"{table}_a", f"{table}_b")

    def contents(self, cursor):
        found = {}
        for table in self.tables:
            cursor.execute(f"SELECT id, f0, f1, f2 FROM world.{table}")
            found.update({(table, row[0]): row for row in cursor.fetchall()})
        return found

    def truth(self, target):
        """Eligible, blocked and dependent rows, by doing it and rolling back."""
        connection = self.cleanup.connect(autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM world.{target} WHERE at < now() - interval '30 days'")
            eligible = [row[0] for row in cursor.fetchall()]
            free = [row for row in eligible if self.can_go(cursor, target, row)]
            before = self.contents(cursor)
            cursor.execute(f"DELETE FROM world.{target} WHERE id = ANY (%s)", [free])
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            after = self.contents(cursor)
        connection.rollback()
        connection.close()
        table = target.split("_")[0]
        touched = {key for key in before if after.get(key) != before[key]}
        return len(eligible), len(eligible) - len(free), len(touched - {(table, row) for row in free})

    def describe(self):
        """For a failure: the keys and the rows."""
        keys = self.cleanup.rows("SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
                                 " WHERE contype = 'f' AND conparentid = 0 ORDER BY 1, 2")
        rows = {table: self.cleanup.rows(f"SELECT id, at < now() - interval '30 days' AS due, f0, f1, f2 FROM {table}")
                for table in self.tables}
        return keys, rows

    @staticmethod
    def can_go(cursor, target, row):
        cursor.execute("SAVEPOINT one")
        try:
            cursor.execute(f"DELETE FROM world.{target} WHERE id = %s", [row])
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return True
        except psycopg2.IntegrityError:
            return False
        finally:
            cursor.execute("ROLLBACK TO one")


def test_dry_run_equals_what_constraints_do(cleanup, seed):
    chance = random.Random(seed)
    blocked = dependent = 0
    for number in range(ROUNDS):
        world = World(cleanup, chance)
        for target in world.targets():
            cleanup.add_policy("p", f"world.{target}", "at", "30 days")
            seen = cleanup.dry_run("p")
            cleanup.drop_policy("p")
            truth = world.truth(target)
            assert (seen.eligible_rows, seen.blocked_rows, seen.dependent_rows) == truth, (number, target, world.describe())
            blocked += truth[1]
            dependent += truth[2]
    assert blocked > 0 and dependent > 0
