"""An application at work on a random table: renews, protects, ages, touches, locks and inserts rows, and keeps a log."""

import threading

from random_tables import RandomTable
from surface import literal

PROTECTING = ("renew", "protect", "insert")


class Renewals(threading.Thread):
    """Works until stopped. The log of a change commits with the change, so a logged row was there then."""

    def __init__(self, cleanup, table: RandomTable, random, ids):
        super().__init__(daemon=True)
        self.connection = cleanup.connect(autocommit=False)
        self.table, self.random, self.ids = table, random, sorted(ids)
        self.error = None
        self.transactions = 0
        self._stopped = threading.Event()
        self._worked = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join(60)
        assert not self.is_alive(), "the application hangs"
        self.connection.close()

    def wait_until_busy(self):
        """Waits for the first few transactions."""
        while self.transactions < 3 and self.is_alive():
            self._worked.wait(0.01)
            self._worked.clear()

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                while not self._stopped.is_set():
                    for _ in range(self.random.choice([1, 1, 1, 3])):
                        self._change(cursor)
                    if self.random.random() < 0.9:
                        self.connection.commit()
                    else:
                        self.connection.rollback()
                    self.transactions += 1
                    self._worked.set()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def _change(self, cursor):
        table, random = self.table, self.random
        zone = literal(table.zone)
        fresh = table.kind.value("now()", zone)
        old = table.kind.value(f"now() - interval '{table.retain or '1 day'}' - interval '2 days'", zone)
        row = random.choice(self.ids) if self.ids else 0
        op = random.choices(["renew", "protect", "age", "touch", "lock", "insert"], [50, 20 if table.condition else 0, 8, 8, 8, 6])[0]
        if op == "renew" and not table.has_age:
            op = "protect"
        sets = {"renew": f"{table.age} = {fresh}", "protect": f"{table.kept} = true",
                "age": f"{table.age} = {old}, {table.kept} = false", "touch": f"{table.id} = {table.id}"}
        if op in sets:
            cursor.execute(f"WITH changed AS (UPDATE {table.table} SET {sets[op]} WHERE {table.id} = {row} RETURNING 1)"
                           f" INSERT INTO {table.log} (id, op) SELECT {row}, '{op}' FROM changed")
        elif op == "lock":
            mode = random.choice(["UPDATE", "SHARE", "KEY SHARE", "NO KEY UPDATE"])
            cursor.execute(f"SELECT FROM {table.table} WHERE {table.id} = {row} FOR {mode}")
        else:
            cursor.execute(f"INSERT INTO {table.log} (id, op) VALUES (2000000 + nextval(pg_get_serial_sequence({literal(table.log)}, 'n')), 'insert')"
                           " RETURNING id")
            new = cursor.fetchone()[0]
            cursor.execute(f"INSERT INTO {table.table} ({table.id}, {table.age}, {table.kept}) VALUES ({new}, {fresh}, true)")


def last_changes(cleanup, table):
    """The last committed change of each row that was changed."""
    return dict(cleanup.rows(f"SELECT DISTINCT ON (id) id, op FROM {table.log} ORDER BY id, n DESC"))
