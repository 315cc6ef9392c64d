"""A generated schema of 300 tables and 700 foreign keys: cleanup_dry_run_detail lists exactly the keys that a recursive query
over the catalogs finds, and a dry run and a run work on it. The time is reported."""

import random
import time

import pytest

from surface import Cleanup

TABLES, KEYS = 300, 700
ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

# Tables that deletions from the target reach by CASCADE, and every key that points to one of them.
RECURSIVE = """
WITH RECURSIVE reached (relid, depth) AS (
  SELECT 'large.t0'::regclass::oid, 0
  UNION SELECT c.conrelid, r.depth + 1 FROM reached r JOIN pg_constraint c ON c.confrelid = r.relid AND c.contype = 'f'
    WHERE c.confdeltype = 'c' AND r.depth < 40),
nearest AS (SELECT relid, min(depth) AS depth FROM reached GROUP BY relid)
SELECT c.conrelid::regclass::text AS dependent, c.conname AS link, c.confdeltype::text AS action, n.depth + 1 AS depth,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]) AS indexed
FROM nearest n JOIN pg_constraint c ON c.confrelid = n.relid AND c.contype = 'f'"""


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def create(cleanup, chance):
    made = ["CREATE SCHEMA large"]
    columns = {table: [] for table in range(TABLES)}
    keys = []
    for number in range(KEYS):
        child, parent = chance.randrange(TABLES), int(chance.random() ** 2 * TABLES)
        columns[child].append(number)
        keys.append((number, child, parent, chance.choice([*ACTIONS.values()] + 6 * ["CASCADE"])))
    for table, numbers in columns.items():
        references = "".join(f", f{number} int" for number in numbers)
        made.append(f"CREATE TABLE large.t{table} (id int PRIMARY KEY, at timestamptz{references})")
        made += [f"CREATE INDEX ON large.t{table} (f{number})" for number in numbers if chance.random() < 0.7]
    for number, child, parent, action in keys:
        made.append(f"ALTER TABLE large.t{child} ADD CONSTRAINT key_{number} FOREIGN KEY (f{number}) REFERENCES large.t{parent}"
                    f" ON DELETE {action}")
    made.append("INSERT INTO large.t0 (id, at) SELECT n, now() - interval '60 days' FROM generate_series(1, 100) n")
    cleanup.sql("; ".join(made))


def test_detail_is_what_the_catalogs_say(cleanup, seed):
    create(cleanup, random.Random(seed))
    cleanup.add_policy("p", "large.t0", "at", "30 days")
    wanted = {(row.dependent, row.link): (ACTIONS[row.action], row.depth, row.indexed) for row in cleanup.rows(RECURSIVE)}
    cleanup.sql("SELECT cleanup_dry_run_detail('p')")
    began = time.monotonic()
    found = cleanup.rows("SELECT d.*, dependent::text AS name FROM cleanup_dry_run_detail('p') d")
    seconds = time.monotonic() - began
    listed = {(row.name, row.link): (row.action, len(row.path) - 1, row.indexed) for row in found}
    assert len(listed) == len(found), "a key is listed twice"
    assert listed == wanted
    assert len(wanted) > 100
    assert {row.rows for row in found} == {0}

    began = time.monotonic()
    planned = cleanup.dry_run("p")
    dry_seconds = time.monotonic() - began
    assert (planned.eligible_rows, planned.blocked_rows, planned.dependent_rows) == (100, 0, 0)
    began = time.monotonic()
    done = cleanup.run("p")
    print(f"{len(found)} keys: detail {seconds:.2f} s, dry run {dry_seconds:.2f} s, run {time.monotonic() - began:.2f} s")
    assert (done.status, done.rows) == ("succeeded", 100), done
