"""Foreign keys as Django makes them (DEFERRABLE INITIALLY DEFERRED), for both kinds of owner; what goes along, and what blocks."""

import itertools

import pytest

from pgserver import Server
from surface import Cleanup

_numbers = itertools.count(1)
DEFERRED = "DEFERRABLE INITIALLY DEFERRED"


@pytest.fixture(scope="module")
def django_server():
    server = Server()
    server.sql("CREATE ROLE django LOGIN")
    server.sql("CREATE ROLE django_group NOLOGIN")
    yield server
    server.destroy()


@pytest.fixture(params=["django", "django_group"], ids=["login", "nologin"])
def app(request, django_server):
    """A shop: accounts 1-200 (1-150 old), orders of accounts, lines of orders; all of one owner."""
    with django_server.database(f"django_{next(_numbers)}") as name:
        cleanup = Cleanup(django_server, name)
        cleanup.owner = request.param
        cleanup.sql(f"CREATE SCHEMA app AUTHORIZATION {request.param}")
        yield cleanup
        cleanup.close()


def create(app, script):
    connection = app.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {app.owner}; SET search_path = app, public")
        for statement in filter(str.strip, script.split(";")):
            cursor.execute(statement)
    connection.close()


def shop(app, constraint, index=True, orders="SELECT n, n FROM generate_series(1, 40) n"):
    create(app, f"""
        CREATE TABLE account (id int PRIMARY KEY, last_login timestamptz NOT NULL);
        INSERT INTO account SELECT n, now() - CASE WHEN n <= 150 THEN interval '400 days' ELSE interval '4 days' END FROM generate_series(1, 200) n;
        CREATE TABLE orders (id int PRIMARY KEY, account_id int);
        INSERT INTO orders {orders};
        ALTER TABLE orders ADD CONSTRAINT orders_account_fk FOREIGN KEY (account_id) REFERENCES account (id) {constraint};
        {'CREATE INDEX orders_account ON orders (account_id);' if index else ''}
        ANALYZE account; ANALYZE orders;
        """)


def count(app, what):
    return app.value(f"SELECT count(*) FROM app.{what}")


def add(app, **named):
    app.add_policy("accounts", "app.account", "last_login", "365 days", **{"batch_size": 17, **named})


def run_as_planned(app, policy="accounts", status="succeeded"):
    planned = app.dry_run(policy)
    done = app.run(policy)
    assert done.status == status, done
    assert (done.rows, done.skipped_rows, done.dependent_rows) == (
        planned.eligible_rows - planned.blocked_rows, planned.blocked_rows, planned.dependent_rows), (planned, done)
    return done


@pytest.mark.parametrize("timing", [DEFERRED, "DEFERRABLE", ""], ids=["deferred", "deferrable", "plain"])
def test_referenced_rows_stay_and_are_reported(app, timing):
    shop(app, timing)
    add(app)
    planned = app.dry_run("accounts")
    assert (planned.eligible_rows, planned.blocked_rows) == (150, 40), planned
    done = app.run("accounts")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", 110, 40), done
    assert count(app, "account") == 90 and count(app, "orders") == 40
    assert count(app, "account a WHERE id <= 40") == 40
    told = app.value("SELECT string_agg(details::text, ' ') FROM cleanup_audit WHERE run_id = %s", [done.run_id])
    assert "orders" in told, told
    again = app.run("accounts")
    assert (again.status, again.rows, again.skipped_rows) == ("partial", 0, 40), again
    app.sql("DELETE FROM app.orders")
    assert app.run("accounts").rows == 40
    assert count(app, "account") == 50


@pytest.mark.parametrize("index", [True, False], ids=["index", "no_index"])
@pytest.mark.parametrize("action, left", [("ON DELETE CASCADE", 0), ("ON DELETE SET NULL", 40)], ids=["cascade", "set_null"])
def test_dependents_are_counted(app, action, left, index):
    shop(app, f"{action} {DEFERRED}", index)
    add(app)
    if not index:
        assert any("CREATE INDEX" in warning for warning in app.dry_run("accounts").warnings)
    done = run_as_planned(app)
    assert (done.rows, done.dependent_rows) == (150, 40), done
    assert count(app, "orders") == left
    assert count(app, "orders WHERE account_id IS NOT NULL") == 0
    tables = {row.table_name: row for row in app.targets(done.run_id)}
    (dependent,) = [row for row in tables.values() if row.kind == "dependent"]
    assert "orders" in dependent.table_name
    assert dependent.rows + dependent.changed_rows == 40


def test_set_default(app):
    create(app, "CREATE TABLE account (id int PRIMARY KEY, last_login timestamptz NOT NULL)")
    create(app, "INSERT INTO account SELECT n, now() - CASE WHEN n <= 150 THEN interval '400 days' ELSE interval '4 days' END FROM generate_series(1, 200) n")
    create(app, f"CREATE TABLE orders (id int PRIMARY KEY, account_id int DEFAULT 200 REFERENCES account ON DELETE SET DEFAULT {DEFERRED})")
    create(app, "INSERT INTO orders SELECT n, n FROM generate_series(1, 40) n; CREATE INDEX ON orders (account_id)")
    add(app)
    done = run_as_planned(app)
    assert (done.rows, done.dependent_rows) == (150, 40), done
    assert count(app, "orders WHERE account_id = 200") == 40


def test_cascade_of_cascade(app):
    """Lines of orders of accounts: counted at any depth."""
    shop(app, f"ON DELETE CASCADE {DEFERRED}")
    create(app, f"""CREATE TABLE line (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE {DEFERRED});
        INSERT INTO line SELECT n, 1 + n % 40 FROM generate_series(1, 120) n; CREATE INDEX ON line (order_id);
        CREATE TABLE note (id int PRIMARY KEY, line_id int REFERENCES line ON DELETE SET NULL {DEFERRED});
        INSERT INTO note SELECT n, n FROM generate_series(1, 60) n; CREATE INDEX ON note (line_id)""")
    add(app)
    done = run_as_planned(app)
    assert (done.rows, done.dependent_rows) == (150, 40 + 120 + 60), done
    assert (count(app, "orders"), count(app, "line"), count(app, "note WHERE line_id IS NULL")) == (0, 0, 60)


def test_blocked_below_a_cascade(app):
    """A line that keeps its order keeps the account: the family stays whole."""
    shop(app, f"ON DELETE CASCADE {DEFERRED}")
    create(app, f"""CREATE TABLE line (id int PRIMARY KEY, order_id int REFERENCES orders {DEFERRED});
        INSERT INTO line SELECT n, n FROM generate_series(1, 10) n; CREATE INDEX ON line (order_id)""")
    add(app)
    done = run_as_planned(app, status="partial")
    assert (done.rows, done.skipped_rows, done.dependent_rows) == (140, 10, 30), done
    assert count(app, "account WHERE id <= 10") == 10 and count(app, "orders WHERE id <= 10") == 10


def test_self_reference(app):
    """Comments that answer comments: a thread whose last answer is young stays as far as it is needed."""
    create(app, f"""CREATE TABLE comment (id int PRIMARY KEY, at timestamptz, parent int REFERENCES comment {DEFERRED});
        INSERT INTO comment SELECT n, now() - interval '60 days', NULL FROM generate_series(1, 50) n;
        INSERT INTO comment SELECT 1000 + n, now() - interval '1 day', n FROM generate_series(1, 10) n;
        CREATE INDEX ON comment (parent)""")
    app.add_policy("comments", "app.comment", "at", "30 days", batch_size=7)
    done = run_as_planned(app, "comments", "partial")
    assert (done.rows, done.skipped_rows) == (40, 10), done
    assert count(app, "comment WHERE parent IS NOT NULL") == 10


def test_self_reference_cascade(app):
    create(app, f"""CREATE TABLE comment (id int PRIMARY KEY, at timestamptz, parent int REFERENCES comment ON DELETE CASCADE {DEFERRED});
        INSERT INTO comment SELECT n, now() - interval '60 days', NULL FROM generate_series(1, 50) n;
        INSERT INTO comment SELECT 1000 + n, now() - interval '1 day', n FROM generate_series(1, 10) n;
        CREATE INDEX ON comment (parent)""")
    app.add_policy("comments", "app.comment", "at", "30 days", batch_size=7)
    done = run_as_planned(app, "comments")
    assert (done.rows, done.dependent_rows) == (50, 10), done
    assert count(app, "comment") == 0


def test_reference_to_a_unique_column(app):
    """By two columns, MATCH SIMPLE: a row with a NULL references nothing."""
    create(app, f"""CREATE TABLE device (id int PRIMARY KEY, site text, serial int, at timestamptz, UNIQUE (site, serial));
        INSERT INTO device SELECT n, 'site ' || n % 3, n, now() - interval '60 days' FROM generate_series(1, 30) n;
        CREATE TABLE reading (site text, serial int, FOREIGN KEY (site, serial) REFERENCES device (site, serial) {DEFERRED});
        INSERT INTO reading SELECT site, serial FROM device WHERE id <= 5;
        INSERT INTO reading SELECT NULL, serial FROM device; INSERT INTO reading SELECT site, NULL FROM device;
        CREATE INDEX ON reading (site, serial)""")
    app.add_policy("devices", "app.device", "at", "30 days")
    done = run_as_planned(app, "devices", "partial")
    assert (done.rows, done.skipped_rows) == (25, 5), done


def test_partitioned_both(app):
    """A partitioned table referenced by a partitioned table."""
    create(app, f"""CREATE TABLE account (id int PRIMARY KEY, last_login timestamptz NOT NULL) PARTITION BY HASH (id);
        CREATE TABLE account_0 PARTITION OF account FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE account_1 PARTITION OF account FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO account SELECT n, now() - CASE WHEN n <= 150 THEN interval '400 days' ELSE interval '4 days' END FROM generate_series(1, 200) n;
        CREATE TABLE orders (id int, account_id int REFERENCES account ON DELETE CASCADE {DEFERRED}) PARTITION BY RANGE (id);
        CREATE TABLE orders_0 PARTITION OF orders FOR VALUES FROM (0) TO (20);
        CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (20) TO (1000);
        INSERT INTO orders SELECT n, n FROM generate_series(1, 40) n; CREATE INDEX ON orders (account_id);
        CREATE TABLE ban (account_id int REFERENCES account {DEFERRED}); INSERT INTO ban VALUES (149), (150), (199); CREATE INDEX ON ban (account_id)""")
    add(app)
    done = run_as_planned(app, status="partial")
    assert (done.rows, done.skipped_rows, done.dependent_rows) == (148, 2, 40), done


def test_cycle_of_tables(app):
    """Two tables that reference each other, as Django lets one do."""
    create(app, f"""CREATE TABLE author (id int PRIMARY KEY, at timestamptz, favourite int);
        CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE CASCADE {DEFERRED});
        ALTER TABLE author ADD FOREIGN KEY (favourite) REFERENCES book ON DELETE SET NULL {DEFERRED};
        BEGIN; INSERT INTO author SELECT n, now() - interval '60 days', n FROM generate_series(1, 30) n;
        INSERT INTO book SELECT n, n FROM generate_series(1, 30) n; COMMIT;
        CREATE INDEX ON author (favourite); CREATE INDEX ON book (author_id)""")
    app.add_policy("authors", "app.author", "at", "30 days", batch_size=7)
    done = app.run("authors")
    assert (done.status, done.rows) == ("succeeded", 30), done
    assert count(app, "author") == 0 and count(app, "book") == 0
    assert done.dependent_rows >= 30


def test_reference_that_appears_during_the_run(app):
    """An order made while the run works: the row stays, the run goes on, the constraint holds."""
    shop(app, DEFERRED, orders="SELECT n, n FROM generate_series(1, 1) n")
    add(app, batch_size=5)
    application = app.connect(autocommit=False)
    with application.cursor() as cursor:
        # Not committed yet; checked now, or its accounts could go before the commit.
        cursor.execute("INSERT INTO app.orders SELECT n, n FROM generate_series(100, 110) n; SET CONSTRAINTS ALL IMMEDIATE")
        run_id = app.start("accounts")
        app.wait_for_rows(run_id, 50)
    application.commit()
    row = app.wait_for_run(run_id)
    assert row.status == "partial", row
    assert count(app, "orders o WHERE NOT EXISTS (SELECT FROM app.account a WHERE a.id = o.account_id)") == 0
    assert count(app, "orders") == 12
    counted = app.value("SELECT sum(rows) FROM cleanup_run_targets WHERE run_id = %s AND kind = 'target'", [run_id])
    assert counted == 200 - count(app, "account")
    application.close()


def test_references_of_another_owner(app):
    """Left to the constraint's own action, and counted; what may not be read blocks by itself."""
    app.sql("DROP ROLE IF EXISTS shipper")
    app.sql("CREATE ROLE shipper NOLOGIN")
    try:
        shop(app, DEFERRED, orders="SELECT n, n FROM generate_series(1, 3) n")
        for name, action, first, last in (("parcel", "ON DELETE CASCADE", 20, 29), ("claim", "", 50, 54)):
            app.sql(f"CREATE TABLE public.{name} (id int, account_id int REFERENCES app.account {action} {DEFERRED})")
            app.sql(f"INSERT INTO public.{name} SELECT n, n FROM generate_series({first}, {last}) n")
            app.sql(f"CREATE INDEX ON public.{name} (account_id)")
            app.sql(f"ALTER TABLE public.{name} OWNER TO shipper")
        app.sql("GRANT USAGE ON SCHEMA app TO shipper; GRANT SELECT ON app.account TO shipper")
        add(app)
        done = app.run("accounts")
        assert (done.status, done.rows, done.skipped_rows, done.dependent_rows) == ("partial", 150 - 3 - 5, 3 + 5, 10), done
        assert app.value("SELECT count(*) FROM public.parcel") == 0
        assert app.value("SELECT count(*) FROM public.claim") == 5
        told = app.value("SELECT string_agg(details::text, ' ') FROM cleanup_audit WHERE run_id = %s", [done.run_id])
        assert "claim" in told and "orders" in told, told
    finally:
        app.sql("DROP OWNED BY shipper CASCADE; DROP ROLE shipper")


def test_error_names_in_the_audit_are_plain(app):
    """The reasons are given with how many rows, and some of them."""
    shop(app, DEFERRED)
    add(app)
    done = app.run("accounts")
    details = app.rows("SELECT details FROM cleanup_audit WHERE run_id = %s AND details::text LIKE %s", [done.run_id, "%skipped%"])
    assert details, app.rows("SELECT event, details FROM cleanup_audit")
    assert "samples" in str(details[0].details), details
