"""cleanup_dry_run_detail on a schema of 300 tables and 700 foreign keys, against the catalogs and against what a plain DELETE does;
and where nothing can be written. (test_dry_run_graphs.py compares the numbers with the family rules.)"""

import collections
import random

import pytest

from surface import Cleanup

TABLES, KEYS, ROWS = 300, 700, 20

# What deleting from a table can meet: the keys that reference it, and through CASCADE those that reference what goes.
REACHED = """
WITH RECURSIVE reached (tab) AS (
  SELECT 'big.t0'::regclass::oid
  UNION SELECT conrelid FROM reached JOIN pg_constraint ON confrelid = tab WHERE contype = 'f' AND confdeltype = 'c')
SELECT c.conrelid::regclass::text AS dependent, c.conname AS link, c.confrelid::regclass::text AS referenced,
  CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END AS action,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]) AS indexed, relowner::regrole::text AS owner
FROM reached JOIN pg_constraint c ON c.confrelid = tab AND c.contype = 'f' JOIN pg_class r ON r.oid = c.conrelid"""


def schema(chance, actions):
    """SQL that makes it: a tree, so that everything hangs together, and keys across it."""
    keys = [(table, chance.randrange(max(0, table - 40), table)) for table in range(1, TABLES)]
    keys += [(chance.randrange(TABLES), chance.randrange(TABLES)) for _ in range(KEYS - len(keys))]
    # The tree mostly cascades, so that most of it is reached.
    keys = [(n, child, parent, "CASCADE" if n == 0 or n < TABLES - 1 and chance.random() < 0.97 else chance.choice(actions))
            for n, (child, parent) in enumerate(keys)]
    statements = ["CREATE SCHEMA big"]
    for table in range(TABLES):
        columns = "".join(f", r{n} int" for n, child, _, _ in keys if child == table)
        statements.append(f"CREATE TABLE big.t{table} (id int PRIMARY KEY, at timestamptz{columns})")
    for table in range(TABLES):
        names = [f"r{n}" for n, child, _, _ in keys if child == table]
        for row in range(1, ROWS + 1):
            values = [str(chance.randint(1, ROWS)) if chance.random() < 0.5 else "NULL" for _ in names]
            age = "now() - interval '1 year'" if row % 2 else "now()"
            statements.append(f"INSERT INTO big.t{table} ({', '.join(['id', 'at', *names])}) VALUES ({', '.join([str(row), age, *values])})")
    for n, child, parent, action in keys:
        statements.append(f"ALTER TABLE big.t{child} ADD CONSTRAINT k{n} FOREIGN KEY (r{n}) REFERENCES big.t{parent} ON DELETE {action}")
        if chance.random() < 0.7:
            statements.append(f"CREATE INDEX ON big.t{child} (r{n})")
    return ";\n".join(statements)


@pytest.fixture
def seeded(seed):
    return random.Random(seed)


@pytest.fixture
def big(shared_server, db):
    cleanup = Cleanup(shared_server, db)

    def make(chance, actions):
        cleanup.server.psql(schema(chance, actions) + ";", cleanup.dbname)
        cleanup.add_policy("big", "big.t0", "at", "30 days")
        return cleanup

    yield make
    cleanup.close()


def details(cleanup):
    return cleanup.rows("SELECT *, dependent::text AS name FROM cleanup_dry_run_detail('big')")


def distances(links):
    """How many keys away from the target each table is."""
    found, waiting = {"big.t0": 0}, collections.deque(["big.t0"])
    while waiting:
        table = waiting.popleft()
        for link in links:
            if link.referenced == table and link.action == "CASCADE" and link.dependent not in found:
                found[link.dependent] = found[table] + 1
                waiting.append(link.dependent)
    return found


def test_all_that_the_catalogs_say(big, seeded):
    cleanup = big(seeded, ["CASCADE"] * 6 + ["SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"])
    links, rows = cleanup.rows(REACHED), details(cleanup)
    assert len(links) > 100
    assert ({(row.name, row.link, row.action, row.indexed, row.owner) for row in rows}
            == {(link.dependent, link.link, link.action, link.indexed, link.owner) for link in links})
    assert len(rows) == len(links)
    assert all(row.indexed == (row.hint is None) for row in rows)
    away, cascades = distances(links), {(link.referenced, link.dependent) for link in links if link.action == "CASCADE"}
    referenced = {link.link: link.referenced for link in links}
    for row in rows:
        assert len(row.path) == away[referenced[row.link]] + 2, row
        assert row.path[0] == "big.t0" and row.path[-2:] == [referenced[row.link], row.name], row
        assert all(pair in cascades for pair in zip(row.path, row.path[1:-1])), row


def test_rows_that_a_plain_delete_takes(big, seeded):
    """Where nothing can block: a table that one key alone leads to loses as many rows as that key has."""
    cleanup = big(seeded, ["CASCADE"] * 9 + ["SET NULL"])
    rows = details(cleanup)
    ways = collections.Counter(row.name for row in rows if row.action == "CASCADE")
    connection = cleanup.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM big.t0 WHERE at < now() - interval '30 days'")
        compared = 0
        for row in rows:
            if row.action == "CASCADE" and ways[row.name] == 1 and row.name != "big.t0":
                cursor.execute(f"SELECT {ROWS} - count(*) FROM {row.name}")
                assert row.rows == cursor.fetchone()[0], row
                compared += 1
        left = {}
        for table in range(TABLES):
            cursor.execute(f"SELECT count(*) FROM big.t{table}")
            left[table] = cursor.fetchone()[0]
    connection.rollback()
    connection.close()
    assert compared > 10 and any(row.rows for row in rows)
    # Rows of the target that go without being due count as dependent; so do rows that stay and are changed.
    dry = cleanup.dry_run("big")
    gone = TABLES * ROWS - sum(left.values()) - dry.eligible_rows
    assert dry.blocked_rows == 0 and gone <= dry.dependent_rows <= gone + sum(row.rows for row in rows if row.action == "SET NULL")


def test_on_a_standby_and_in_a_read_only_session(new_server):
    primary = new_server()
    primary.psql("""CREATE EXTENSION pg_cleanup;
        CREATE TABLE event (id int PRIMARY KEY, at timestamptz);
        CREATE TABLE detail (id int, event_id int REFERENCES event ON DELETE CASCADE);
        CREATE TABLE note (event_id int);
        INSERT INTO event SELECT g, now() - interval '40 days' FROM generate_series(1, 50) g;
        INSERT INTO detail SELECT g, g FROM generate_series(1, 30) g;
        INSERT INTO note SELECT g FROM generate_series(1, 20) g;
        SELECT cleanup_add_policy('big', 'event', 'at', '30 days');
        SELECT cleanup_add_relation('big', 'note', '{"id": "event_id"}', false)""")
    here = Cleanup(primary, "postgres")
    standby = new_server.adopt(primary.standby())
    standby.poll_until("SELECT count(*) FROM cleanup_relations", 1)
    there = Cleanup(standby, "postgres")
    assert there.value("SELECT pg_is_in_recovery()")
    assert [(row.link.split()[0], row.rows) for row in details(there)] == [("detail_event_id_fkey", 30), ("relation", 20)]
    assert details(there) == details(here)
    assert (there.dry_run("big").dependent_rows, there.dry_run("big").blocked_rows) == (50, 0)
    here.sql("SET default_transaction_read_only = on")
    assert details(here) == details(there)
    here.close()
    there.close()
