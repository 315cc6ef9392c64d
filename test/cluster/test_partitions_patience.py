"""What happens while a partition is read or waited for: who must stop the run, or needs the table, gets his way."""

import pytest

from partition_days import audited, make_days, partitions
from surface import Cleanup
from test_partitions_concurrently import worker_waits


@pytest.fixture
def cleanup(new_server):
    """Whose runs wait for a lock as long as a test takes."""
    server = new_server({"deadlock_timeout": "200s", "pg_cleanup.lock_timeout": "60s"})
    server.sql("CREATE EXTENSION pg_cleanup")
    made = Cleanup(server, "postgres")
    made.sql("LOAD 'pg_cleanup'")
    yield made
    made.close()


class Vacuum:
    """Holds the lock that a VACUUM holds; everybody reads and writes."""

    def __init__(self, cleanup, table):
        self.connection = cleanup.connect(autocommit=False)
        with self.connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")

    def end(self):
        self.connection.rollback()
        self.connection.close()


@pytest.mark.parametrize("order", [
    "SELECT cleanup_pause('stop')", "SELECT cleanup_alter_policy('log', retain => '100 days')",
    "UPDATE cleanup_policies SET enabled = false", "SELECT cleanup_drop_policy('log')"])
def test_orders_that_come_meanwhile(cleanup, order):
    """What is said while a partition is read, or waited for, still holds for that partition."""
    make_days(cleanup)
    cleanup.add_policy("log", "log", "at", "5 days")
    before, vacuum = partitions(cleanup), Vacuum(cleanup, "log_10")
    run_id = cleanup.start("log")
    worker_waits(cleanup)
    cleanup.sql(order)
    vacuum.end()
    assert cleanup.wait_for_run(run_id).status == "cancelled"
    assert partitions(cleanup) == before and not audited(cleanup, run_id)
