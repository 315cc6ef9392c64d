"""Random tables, policies and traffic against plain SQL: nothing that should stay goes, ever; what should go goes or is told.

PG_CLEANUP_SEED repeats a run; PG_CLEANUP_TABLE=n takes the n-th table of it alone.
"""

import os
import random

import pytest

from pgserver import SOAK
from random_tables import RandomTable
from renewals import PROTECTING, Renewals, last_changes
from surface import Cleanup

TABLES = 2000 if SOAK else 60
CHUNKS = 20 if SOAK else 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_tables(shared_server, db, seed, chunk):
    cleanup = Cleanup(shared_server, db)
    only = os.environ.get("PG_CLEANUP_TABLE")
    for number in range(chunk, TABLES, CHUNKS):
        if only is not None and int(only) != number:
            continue
        table = RandomTable(random.Random(f"{seed}/{number}"), number)
        try:
            check_table(cleanup, table, random.Random(f"{seed}/{number}/traffic"))
        except Exception as error:
            raise AssertionError(f"table {number} of PG_CLEANUP_SEED={seed}: {table}\n{error}") from error
        cleanup.sql(f"DROP SCHEMA {table.schema} CASCADE")
    cleanup.close()


def check_table(cleanup, table, traffic):
    table.create(cleanup)
    policy = "property"
    table.add_policy(cleanup, policy)
    check_dry_run(cleanup, table, policy)
    check_busy_run(cleanup, table, policy, traffic)
    check_quiet_run(cleanup, table, policy)
    cleanup.drop_policy(policy)


def check_dry_run(cleanup, table, policy):
    table.remember(cleanup)
    before = table.contents(cleanup)
    planned = cleanup.dry_run(policy)
    must, may = table.model(cleanup, planned.cutoff)
    assert len(must) <= planned.eligible_rows <= len(may), f"dry run: {planned}, model {len(must)}..{len(may)}"
    assert (planned.blocked_rows, planned.held_rows, planned.dependent_rows) == (0, 0, 0), planned
    assert table.contents(cleanup) == before


def check_busy_run(cleanup, table, policy, traffic):
    """A run while an application works on the same rows."""
    table.remember(cleanup)
    before = table.contents(cleanup)
    with Renewals(cleanup, table, traffic, before) as application:
        application.wait_until_busy()
        done = cleanup.run(policy)
    assert application.error is None, f"the application got {application.error!r}"
    assert done.status in ("succeeded", "partial"), done
    assert (done.status == "partial") == (done.skipped_rows > 0), done
    (counted,) = cleanup.targets(done.run_id)
    after, changes = table.contents(cleanup), last_changes(cleanup, table)
    inserted = {row for row, op in changes.items() if op == "insert"}
    gone = (set(before) | inserted) - set(after)
    assert done.rows == counted.rows == len(gone), f"{done}, but {len(gone)} are gone"

    protected = {row for row, op in changes.items() if op in PROTECTING}
    assert not gone & protected, f"renewed, and gone: {sorted(gone & protected)[:10]}"
    must, may = table.model(cleanup, counted.cutoff)
    wrong = gone - may - set(changes)
    assert not wrong, f"should stay, and gone: {sorted(wrong)[:10]}"
    changed = {row for row in (set(before) & set(after)) - set(changes) if before[row] != after[row]}
    assert not changed, f"changed: {sorted(changed)[:10]}"
    left = (must & set(after)) - set(changes)
    assert len(left) <= done.skipped_rows, f"{done}, but {len(left)} that nobody changed are left: {sorted(left)[:10]}"


def check_quiet_run(cleanup, table, policy):
    """The next run, with nobody else at work, finishes."""
    table.remember(cleanup)
    before = table.contents(cleanup)
    planned = cleanup.dry_run(policy)
    done = cleanup.run(policy)
    assert (done.status, done.skipped_rows) == ("succeeded", 0), done
    (counted,) = cleanup.targets(done.run_id)
    after = table.contents(cleanup)
    gone = set(before) - set(after)
    assert done.rows == len(gone), f"{done}, but {len(gone)} are gone"
    must, may = table.model(cleanup, counted.cutoff)
    assert must <= gone <= may, f"left: {sorted(must - gone)[:10]}, should stay: {sorted(gone - may)[:10]}"
    assert len(must) <= planned.eligible_rows <= len(may), planned
    if must == may:
        assert (done.rows, done.row_bytes) == (planned.eligible_rows, planned.row_bytes), (planned, done)
    assert all(before[row] == after[row] for row in after)
