"""keep_last and keep_per against plain SQL: exactly the newest rows of each group stay, with ties, NULLs, partitions, and with an
application that inserts and renews meanwhile."""

import random
import threading

import pytest

from age_model import KINDS
from pgserver import SOAK
from surface import Cleanup, quote

TABLES = 300 if SOAK else 24
CHUNKS = 10 if SOAK else 3

# Types to group by, with expressions of a small number n; citext brings an equality of its own.
GROUPINGS = {
    "int": "n", "text": "'g' || n", "varchar(12)": "'g' || n", "citext": "CASE WHEN random() < 0.5 THEN 'group' ELSE 'GROUP' END || n",
    "numeric": "n / 2.0", "boolean": "n % 2 = 0", "uuid": "lpad(n::text, 32, '0')::uuid", "int[]": "ARRAY[n, NULL]",
    "timestamptz": "'2020-01-01'::timestamptz + n * interval '1 day'", "{s}.mood": "(ARRAY['good','bad','none'])[1 + n % 3]::{s}.mood",
    "{s}.short": "('s' || n)::{s}.short",
}


class Groups:
    """A random table with groups, and the model of its policy."""

    def __init__(self, random, number):
        self.random = random
        self.schema = f"groups_{number}"
        self.table = f"{self.schema}.t"
        self.kind = random.choice(list(KINDS.values()))
        self.columns = [(quote(f"key {n}"), random.choice(list(GROUPINGS)), random.random() < 0.4)
                        for n in range(random.choice([0, 0, 1, 1, 1, 2, 3, 6]))]
        self.keep = random.choice([1, 1, 2, 3, 7, 40])
        self.rows = random.choice([0, 3, 50, 400, 2000])
        self.youngest = random.choice([0, 4, 7])  # in units of five days
        self.ties = random.choice([1, 3, 50, 1000])
        self.condition = random.choice([None, None, "flag", "flag IS NOT TRUE", "id / 3 * 3 = id"])
        self.partitioned = random.random() < 0.4
        self.indexed = random.random() < 0.7
        self.batch_size = random.choice([None, None, 1, 20])
        if self.rows > 400 and self.batch_size == 1:
            self.batch_size = 200

    def __str__(self):
        return str({name: value for name, value in vars(self).items() if name != "random"})

    def create(self, cleanup):
        random, s = self.random, self.schema
        cleanup.sql(f"CREATE SCHEMA {s}; CREATE TYPE {s}.mood AS ENUM ('good', 'bad', 'none'); CREATE DOMAIN {s}.short AS varchar(5)")
        keys = "".join(f", {name} {kind.format(s=s)}{' NOT NULL' if required else ''}" for name, kind, required in self.columns)
        options = " PARTITION BY HASH (id)" if self.partitioned else ""
        cleanup.sql(f"CREATE TABLE {self.table} (id int, flag boolean, age {self.kind.sql_type}{keys}){options}")
        if self.partitioned:
            for n in range(3):
                cleanup.sql(f"CREATE TABLE {self.table}_{n} PARTITION OF {self.table} FOR VALUES WITH (MODULUS 3, REMAINDER {n})")
        if self.indexed:
            columns = [name for name, _, _ in self.columns]
            random.shuffle(columns)
            cleanup.sql(f"CREATE INDEX ON {self.table} ({', '.join([*columns, 'age'])})")
        self.insert(cleanup, 1, self.rows)
        cleanup.sql(f"ANALYZE {self.table}")

    def insert(self, cleanup, first, rows):
        values = ""
        for _, kind, required in self.columns:
            value = f"(SELECT {GROUPINGS[kind].format(s=self.schema)} FROM (SELECT (random() * {self.random.choice([0, 2, 9])})::int AS n WHERE g > 0) x)"
            values += f", {value}" if required else f", CASE WHEN random() < 0.8 THEN {value} END"
        # Two days off the cutoff, so that it is clear for coarse ages too.
        age = self.kind.value(f"now() - interval '2 days' - (({self.youngest} + random() * {self.ties})::int * interval '5 days')")
        if self.kind.name == "uuid7":  # and some that have no age
            age = f"CASE WHEN random() < 0.9 THEN {age} ELSE gen_random_uuid() END"
        cleanup.sql(f"INSERT INTO {self.table} SELECT g, CASE WHEN random() < 0.9 THEN random() < 0.6 END,"
                    f" CASE WHEN random() < 0.95 THEN {age} END{values} FROM generate_series({first}, {first + rows - 1}) g")

    def add_policy(self, cleanup, policy):
        keep_per = [name.strip('"') for name, _, _ in self.columns]
        cleanup.add_policy(policy, self.table, "age", "30 days", condition=self.condition, time_zone="UTC", keep_last=self.keep,
                           keep_per=keep_per or None, batch_size=self.batch_size, **self.kind.policy_arguments)

    def survivors(self, cleanup, cutoff):
        """What must be left, in plain SQL."""
        per = ", ".join(name for name, _, _ in self.columns)
        due = self.kind.must_go("age", f"'{cutoff.isoformat()}'::timestamptz")
        known = self.known("age")
        return {row.id for row in cleanup.rows(
            f"SELECT id FROM (SELECT id, coalesce(({due}) AND ({self.condition or 'true'}), false) AS due, row_number() OVER"
            f" ({f'PARTITION BY {per} ' if per else ''}ORDER BY {known} DESC, age DESC NULLS LAST, tableoid DESC, ctid DESC) AS place,"
            f" {known} AS known FROM {self.table}) x WHERE NOT due OR (place <= {self.keep} AND known)")}

    def known(self, column):
        """SQL: the column says how old the row is."""
        return f"coalesce(substr({column}::text, 15, 1) = '7', false)" if self.kind.name == "uuid7" else f"{column} IS NOT NULL"

    def ids(self, cleanup):
        return {row.id for row in cleanup.rows(f"SELECT id FROM {self.table}")}


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    made.sql("CREATE EXTENSION citext; SET TimeZone = 'UTC'")
    yield made
    made.close()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_exactly_the_newest_stay(cleanup, seed, chunk):
    for number in range(chunk, TABLES, CHUNKS):
        table = Groups(random.Random(f"{seed}/{number}"), number)
        try:
            cleanup.sql("SELECT setseed(%s)", [random.Random(f"{seed}/{number}/data").random()])
            table.create(cleanup)
            table.add_policy(cleanup, "newest")
            planned = cleanup.dry_run("newest")
            before, expected = table.ids(cleanup), table.survivors(cleanup, planned.cutoff)
            assert planned.eligible_rows == len(before) - len(expected), planned
            done = cleanup.run("newest", as_of=planned.cutoff)
            assert (done.status, done.rows) == ("succeeded", planned.eligible_rows), done
            assert table.ids(cleanup) == expected
            assert cleanup.run("newest").rows == 0
            check_with_an_application(cleanup, table, random.Random(f"{seed}/{number}/application"))
        except Exception as error:
            raise AssertionError(f"table {number} of PG_CLEANUP_SEED={seed}: {table}\n{error}") from error
        cleanup.drop_policy("newest")
        cleanup.sql(f"DROP SCHEMA {table.schema} CASCADE")


class Application(threading.Thread):
    """Inserts rows and renews others until stopped; what it renewed is kept in a table, in the same transaction."""

    def __init__(self, cleanup, table, random, ids):
        super().__init__(daemon=True)
        self.connection, self.table, self.random, self.ids = cleanup.connect(autocommit=False), table, random, sorted(ids)
        self.error, self.stopped, self.busy = None, threading.Event(), threading.Event()

    def run(self):
        fresh = self.table.kind.value("now()")
        try:
            with self.connection.cursor() as cursor:
                while not self.stopped.is_set():
                    row = self.random.choice(self.ids)
                    cursor.execute(f"WITH changed AS (UPDATE {self.table.table} SET age = {fresh} WHERE id = {row} RETURNING id)"
                                   f" INSERT INTO {self.table.schema}.renewed SELECT id FROM changed")
                    self.connection.commit() if self.random.random() < 0.8 else self.connection.rollback()
                    self.busy.set()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
            self.busy.set()

    def stop(self):
        self.stopped.set()
        self.join(60)
        self.connection.close()
        assert self.error is None, self.error


def check_with_an_application(cleanup, table, random):
    """While rows are renewed, no renewed row goes, and no row goes that fewer than keep_last rows of its group are newer than;
    afterwards, a quiet run leaves exactly the newest."""
    if table.rows == 0:
        return
    table.insert(cleanup, 1_000_000, table.rows)
    cleanup.sql(f"CREATE TABLE {table.schema}.renewed (id int)")
    cleanup.sql(f"CREATE TABLE {table.schema}.before AS SELECT * FROM {table.table}")
    application = Application(cleanup, table, random, table.ids(cleanup))
    application.start()
    application.busy.wait(60)
    done = cleanup.run("newest")
    application.stop()
    assert done.status in ("succeeded", "partial"), done
    lost = cleanup.value(f"SELECT count(*) FROM {table.schema}.renewed r WHERE NOT EXISTS (SELECT FROM {table.table} t WHERE t.id = r.id)")
    assert lost == 0, f"{lost} renewed rows are gone"
    same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM b.{name}" for name, _, _ in table.columns) or "true"
    torn = cleanup.value(
        f"SELECT count(*) FROM {table.schema}.before b WHERE NOT EXISTS (SELECT FROM {table.table} t WHERE t.id = b.id)"
        f" AND {table.keep} > (SELECT count(*) FROM {table.table} t WHERE t.age >= b.age AND {table.known('t.age')} AND {same})")
    assert torn == 0, f"{torn} rows are gone that were among the newest"
    planned = cleanup.dry_run("newest")
    expected = table.survivors(cleanup, planned.cutoff)
    assert cleanup.run("newest", as_of=planned.cutoff).status == "succeeded"
    assert table.ids(cleanup) == expected


def test_a_row_of_nulls_is_no_null(cleanup):
    """They are groups of their own, as for GROUP BY."""
    cleanup.sql("CREATE TYPE pair AS (a int, b int); CREATE TABLE t (id int, at timestamptz, k pair)")
    cleanup.sql("INSERT INTO t SELECT n, '2020-01-01'::timestamptz + n * interval '1 day', CASE WHEN n <= 5 THEN ROW(NULL, NULL)::pair END"
                " FROM generate_series(1, 10) n")
    cleanup.add_policy("newest", "t", "at", "1 day", keep_last=2, keep_per=["k"])
    assert cleanup.run("newest").rows == 6
    assert [row.id for row in cleanup.rows("SELECT id FROM t ORDER BY id")] == [4, 5, 9, 10]


def test_nulls_below_a_constraint_that_is_not_valid(cleanup):
    if cleanup.connection.server_version < 180000:
        pytest.skip("NOT NULL is always valid")
    cleanup.sql("CREATE TABLE t (id int, at timestamptz, k int);"
                " INSERT INTO t SELECT n, '2020-01-01'::timestamptz + n * interval '1 day' FROM generate_series(1, 10) n")
    cleanup.sql("ALTER TABLE t ADD CONSTRAINT known NOT NULL k NOT VALID")
    cleanup.add_policy("newest", "t", "at", "1 day", keep_last=2, keep_per=["k"])
    assert cleanup.run("newest").rows == 8


@pytest.mark.parametrize("family", [False, True], ids=["left to the constraint", "gathered"])
def test_dependents_of_the_newest_stay(cleanup, family):
    """Rows that go take their dependents along, the newest of each group keep theirs, by either way of deleting."""
    cleanup.sql("CREATE TABLE p (id int PRIMARY KEY, g int, at timestamptz); CREATE TABLE d (id int, p int REFERENCES p ON DELETE CASCADE);"
                " CREATE INDEX ON p (g, at); CREATE INDEX ON d (p);"
                " INSERT INTO p SELECT n, n % 7, '2020-01-01'::timestamptz + (n / 21) * interval '1 day' FROM generate_series(1, 700) n;"
                " INSERT INTO d SELECT n, 1 + n % 700 FROM generate_series(1, 2100) n; ANALYZE")
    if family:
        cleanup.sql("CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
                    " CREATE TRIGGER pass BEFORE DELETE ON d FOR EACH ROW EXECUTE FUNCTION pass()")
    newest = {row.id for row in cleanup.rows("SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY g ORDER BY at DESC, ctid DESC) AS place FROM p) x WHERE place <= 4")}
    cleanup.add_policy("newest", "p", "at", "1 day", keep_last=4, keep_per=["g"])
    planned = cleanup.dry_run("newest")
    assert (planned.eligible_rows, planned.dependent_rows) == (700 - 28, 3 * (700 - 28)), planned
    done = cleanup.run("newest")
    assert (done.status, done.rows, done.dependent_rows) == ("succeeded", 700 - 28, 3 * (700 - 28)), done
    assert {row.id for row in cleanup.rows("SELECT id FROM p")} == newest
    assert cleanup.value("SELECT count(*) FROM d") == 3 * 28
