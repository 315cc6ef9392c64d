"""Words of the tests of families: a schema of an owner with a table p (the fixture app), and tables that reference it."""

def create(app, script, role=None):
    connection = app.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {role or app.owner}; SET search_path = app, public")
        cursor.execute(script)
    connection.close()


def add(app, table="p", **named):
    app.add_policy(table, f"app.{table}", "at", "30 days", **named)


def ids(app, table, where="true"):
    return [row[0] for row in app.rows(f"SELECT id FROM app.{table} WHERE {where} ORDER BY id")]


def run(app, policy="p", status="succeeded", **expected):
    done = app.run(policy)
    told = app.value("SELECT details::text FROM cleanup_audit WHERE run_id = %s AND event = 'run'", [done.run_id])
    assert done.status == status, (done, told)
    for name, value in expected.items():
        assert getattr(done, name) == value, (name, done, told)
    assert app.value("SELECT count(*) FROM cleanup_run_targets WHERE run_id = %s AND status = 'running'", [done.run_id]) == 0
    return done, told


def child(name, action="ON DELETE CASCADE", parent="p", more=""):
    return (f"CREATE TABLE {name} (id int PRIMARY KEY, parent int REFERENCES {parent} {action} {more});"
            f"CREATE INDEX ON {name} (parent);")


def fill(name, rows="generate_series(1, 20)", parent="n"):
    return f"INSERT INTO {name} SELECT n, {parent} FROM {rows} n;"
