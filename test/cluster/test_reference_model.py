"""Random tables and foreign keys: what a dry run says is what PostgreSQL's own constraints then do."""

import random
import typing

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


class Truth(typing.NamedTuple):
    eligible: set  # ids
    could: set  # of them, those that PostgreSQL lets go one by one
    least: set  # (table, id) of rows that must be gone or changed after a run
    most: set  # and of those that may be


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

    def truth(self, target, free):
        """What deleting these rows does, by doing it and rolling back; nothing where a plain DELETE cannot do it."""
        connection = self.cleanup.connect(autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            before = self.contents(cursor)
            eligible, could = self.free(cursor, target)
            if not free <= could:
                # Rows whose blockers go with them, in the same statement: test_family_runs.py has a model for that.
                connection.rollback()
                connection.close()
                return None
            cursor.execute(f"DELETE FROM world.{target} WHERE id = ANY (%s)", [list(free)])
            touched = self.touched(before, self.contents(cursor))
            cursor.execute(f"DELETE FROM world.{target} WHERE id = ANY (%s)", [list(could)])
            # What waits for a row of the same table may find it gone in a later batch.
            while self.delete_free(cursor, target):
                pass
            most = self.touched(before, self.contents(cursor))
        connection.rollback()
        connection.close()
        return Truth(eligible, could, touched, most)

    def free(self, cursor, target):
        """The eligible rows, and those of them that PostgreSQL lets go one by one."""
        cursor.execute(f"SELECT id FROM world.{target} WHERE at < now() - interval '30 days'")
        eligible = {row[0] for row in cursor.fetchall()}
        return eligible, {row for row in eligible if self.can_go(cursor, target, row)}

    def delete_free(self, cursor, target):
        """Deletes them; how many."""
        free = self.free(cursor, target)[1]
        cursor.execute(f"DELETE FROM world.{target} WHERE id = ANY (%s)", [list(free)])
        return len(free)

    @staticmethod
    def touched(before, after):
        return {key for key in before if after.get(key) != before[key]}

    def now(self):
        with self.cleanup.connection.cursor() as cursor:
            return self.contents(cursor)

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
            return True
        except psycopg2.IntegrityError:
            return False
        finally:
            cursor.execute("ROLLBACK TO one")


def seen_free(cleanup):
    """The ids that the preview does not call blocked."""
    return {row.row_data["id"] for row in cleanup.preview("p", 1000) if "blocked" not in row.why}


def test_dry_run_equals_what_constraints_do(cleanup, seed):
    chance = random.Random(seed)
    blocked = dependent = by_chance = compared = beyond = 0
    for number in range(ROUNDS):
        world = World(cleanup, chance)
        for target in world.targets():
            cleanup.add_policy("p", f"world.{target}", "at", "30 days")
            seen, free = cleanup.dry_run("p"), seen_free(cleanup)
            truth = world.truth(target, free)
            if truth is None:
                beyond += 1
                cleanup.drop_policy("p")
                continue
            compared += 1
            table = target.split("_")[0]
            assert (seen.eligible_rows, seen.blocked_rows, seen.dependent_rows) == (
                len(truth.eligible), len(truth.eligible - free), len(truth.least - {(table, row) for row in free})
            ), (number, target, world.describe())
            if chance.random() < 0.5:
                before, described = world.now(), world.describe()
                done = cleanup.run("p")
                touched = world.touched(before, world.now())
                assert done.status in ("succeeded", "partial"), (number, target, done.message, described)
                assert truth.least <= touched <= truth.most, (number, target, done, described)
                # A run counts changes: a row that two keys set to NULL, or that is changed and then goes, counts twice.
                assert done.rows + done.dependent_rows >= len(touched), (number, target, done, described)
            cleanup.drop_policy("p")
            blocked += seen.blocked_rows
            dependent += seen.dependent_rows
            by_chance += len(truth.could - free)
    print(f"{blocked} blocked rows, {by_chance} of them by chance; {dependent} dependent rows; {beyond} of {compared + beyond} targets"
          " are beyond a plain DELETE")
    assert dependent > 0 and blocked > 20 * by_chance and compared > 3 * beyond
