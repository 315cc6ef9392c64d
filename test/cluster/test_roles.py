"""Every role tries everything: each public function, and each table and view, as found in the catalog. What each may do is
the table in docs/reference/roles.md, which must be what comes out here (PG_CLEANUP_WRITE_DOCS=1 writes it)."""

import os
from contextlib import contextmanager

import psycopg2
import pytest

from pgserver import REPO
from slow_run import SlowRun
from surface import Cleanup

PAGE = REPO / "docs" / "reference" / "roles.md"
BEGIN, END = "<!-- written by test/cluster/test_roles.py -->\n", "<!-- end -->\n"

# Column of the table, and what the role is granted; "one" is for the policy `granted` alone.
ROLES = {"nobody": None, "viewer": "viewer", "operator": "operator", "owner": "owner", "admin": "admin", "sidecar": "sidecar",
         "viewer of one": ("viewer", "granted"), "operator of one": ("operator", "granted"), "admin of one": ("admin", "granted")}
DENIED = {"42501", "42704"}  # not permitted; and a policy or run that he may not see does not exist for him

INTERNAL = ["cleanup_target_in", "cleanup_target_out", "cleanup_policy_check", "cleanup_policy_changed", "cleanup_audit_guard",
            "cleanup_grant_bind", "cleanup_schedules_changed", "cleanup_relation_check", "cleanup_relation_changed"]


def of_policy(statement, finds=True, **more):
    """Tried on a policy of the role's own table, on the one that may be granted, and on another; `finds`: must have a row."""
    return {"statement": statement, "finds": finds, "per_policy": True, **more}


def once(statement, **more):
    return {"statement": statement, "finds": False, "per_policy": False, **more}


# What is tried: for each function, one line or several. {policy}, {table}, {id} and {run} are of the policy that is tried.
FUNCTIONS = {
    "cleanup_stats": of_policy("SELECT FROM cleanup_stats() WHERE policy = '{policy}'"),
    "cleanup_check": of_policy("""SELECT FROM cleanup_check() WHERE detail LIKE '%"{policy}"%'"""),
    "cleanup_policy_states": of_policy("SELECT FROM cleanup_policy_states() WHERE policy = '{policy}'"),
    "cleanup_dry_run": of_policy("SELECT FROM cleanup_dry_run('{policy}')"),
    "cleanup_dry_run_detail": of_policy("SELECT FROM cleanup_dry_run_detail('{policy}')", finds=False),
    "cleanup_preview": of_policy("SELECT FROM cleanup_preview('{policy}')", finds=False),
    "cleanup_run": {
        "cleanup_run": of_policy("SELECT FROM cleanup_run('{policy}')"),
        "cleanup_run, retain => longer": of_policy("SELECT FROM cleanup_run('{policy}', retain => '60 days')"),
        "cleanup_run, retain => shorter": of_policy("SELECT FROM cleanup_run('{policy}', retain => '1 day')"),
        "cleanup_run, age range": of_policy("SELECT FROM cleanup_run('{policy}', age_to => now() - interval '40 days')"),
        "cleanup_run, force": of_policy("SELECT FROM cleanup_run('{policy}', force => true)"),
    },
    "cleanup_cancel": of_policy("SELECT cleanup_cancel({run})"),
    "cleanup_restore": {  # the runs here archived nothing, which is all that is in the way of those who may
        "cleanup_restore": of_policy("SELECT FROM cleanup_restore({run}, '{policy}')", finds=False, permitted={"55000"}),
        "cleanup_restore, condition": of_policy("SELECT FROM cleanup_restore({run}, '{policy}', 'true')", finds=False,
                                                permitted={"55000"}),
    },
    "cleanup_pause": once("SELECT cleanup_pause('trying')"),
    "cleanup_resume": once("SELECT cleanup_resume('trying')", permitted={"55000"}),  # it is not paused
    "cleanup_add_policy": of_policy("SELECT cleanup_add_policy('new', '{table}', 'at', '30 days')"),
    "cleanup_alter_policy": {
        "cleanup_alter_policy, options": of_policy("SELECT cleanup_alter_policy('{policy}', enabled => false, batch_size => 10)"),
        "cleanup_alter_policy, retain": of_policy("SELECT cleanup_alter_policy('{policy}', retain => '2 days')"),
        "cleanup_alter_policy, what it means": of_policy("SELECT cleanup_alter_policy('{policy}', condition => 'id > 0')"),
    },
    "cleanup_drop_policy": of_policy("SELECT cleanup_drop_policy('{policy}')"),
    "cleanup_export_policies": of_policy(
        "SELECT FROM jsonb_array_elements(cleanup_export_policies()) e WHERE e->>'policy' = '{policy}'"),
    "cleanup_import_policies": of_policy("""SELECT cleanup_import_policies('[{{"policy": "{policy}", "target": "{table}",
        "age_column": "at", "retain": "30 days"}}]', true)"""),
    "cleanup_add_relation": of_policy("""SELECT cleanup_add_relation('{policy}', '{table}', '{{"id": "parent"}}')"""),
    "cleanup_drop_relation": of_policy("SELECT cleanup_drop_relation('{policy}', '{table}')"),
    "cleanup_schedule": {
        "cleanup_schedule": of_policy("SELECT cleanup_schedule('{policy}', at => '03:00')"),
        "cleanup_schedule, every policy": once("SELECT cleanup_schedule('*', at => '03:00')"),
    },
    "cleanup_unschedule": {
        "cleanup_unschedule": of_policy("SELECT cleanup_unschedule('{policy}')"),
        "cleanup_unschedule, every policy": once("SELECT cleanup_unschedule('*')"),
    },
    "cleanup_run_scheduled": of_policy("SELECT cleanup_run_scheduled({schedule})"),
    "cleanup_grant": once("SELECT cleanup_grant('roles_nobody', 'viewer')"),
    "cleanup_revoke": once("SELECT cleanup_revoke('roles_viewer', 'viewer')"),
    "cleanup_run_is_alive": once("SELECT cleanup_run_is_alive(1)"),
    "cleanup_sees_every_policy": once("SELECT cleanup_sees_every_policy()"),
    "cleanup_visible_policies": of_policy("SELECT WHERE {id} = ANY (cleanup_visible_policies())"),
    "cleanup_target_to_regclass": once("SELECT cleanup_target_to_regclass('public.nothing')"),
    "cleanup_target_is_bound": once("SELECT cleanup_target_is_bound('public.nothing')"),
    "cleanup_target_from_regclass": once("SELECT cleanup_target_from_regclass('pg_class')"),
}

TABLES = {
    "cleanup_policies": of_policy("SELECT FROM cleanup_policies WHERE policy = '{policy}' AND target::regclass = '{table}'::regclass"),
    "cleanup_relations": of_policy("SELECT FROM cleanup_relations WHERE policy_id = {id}"),
    "cleanup_archives": of_policy("SELECT FROM cleanup_archives WHERE policy_id = {id}"),
    "cleanup_bindings": of_policy("SELECT FROM cleanup_bindings WHERE policy_id = {id}"),
    "cleanup_runs": of_policy("SELECT FROM cleanup_runs WHERE run_id = {run}"),
    "cleanup_run_targets": of_policy("SELECT FROM cleanup_run_targets WHERE run_id = {run}"),
    "cleanup_totals": of_policy("SELECT FROM cleanup_totals WHERE policy_id = {id}"),
    "cleanup_progress": of_policy("SELECT FROM cleanup_progress WHERE run_id = {run}", running=True),
    "cleanup_audit": of_policy("SELECT FROM cleanup_audit WHERE policy = '{policy}'"),
    "cleanup_pauses": once("SELECT FROM cleanup_pauses"),
    "cleanup_schedules": of_policy("SELECT FROM cleanup_schedules WHERE policy_id = {id}"),
    "cleanup_schedule_states": of_policy("SELECT FROM cleanup_schedule_states WHERE schedule_id = {schedule}"),
    "cleanup_grants": of_policy("SELECT FROM cleanup_grants WHERE (role = current_user) = ('{policy}' LIKE 'own%')"),
    "cleanup_grant_bindings": of_policy(
        "SELECT FROM cleanup_grant_bindings b JOIN pg_roles r ON r.oid = b.role"
        " WHERE (rolname = current_user) = ('{policy}' LIKE 'own%')"),
}
# By hand; every other table can be written by nobody here.
WRITES = {
    "cleanup_policies": {
        "INSERT": of_policy("INSERT INTO cleanup_policies (policy, target, age_column, retain) VALUES ('new', '{table}', 'at', '1 day')",
                            finds=False),
        "UPDATE, options": of_policy("UPDATE cleanup_policies SET enabled = false WHERE policy = '{policy}' RETURNING 1"),
        "UPDATE, what it means": of_policy("UPDATE cleanup_policies SET condition = 'id > 0' WHERE policy = '{policy}' RETURNING 1"),
        "DELETE": of_policy("DELETE FROM cleanup_policies WHERE policy = '{policy}' RETURNING 1"),
    },
    "cleanup_relations": {
        "INSERT": of_policy("""INSERT INTO cleanup_relations (policy_id, related, on_columns)
            VALUES ({id}, '{table}'::regclass, '{{"id": "parent"}}')""", finds=False),
        "UPDATE": of_policy("UPDATE cleanup_relations SET unless_referenced = false WHERE policy_id = {id} RETURNING 1"),
        "DELETE": of_policy("DELETE FROM cleanup_relations WHERE policy_id = {id} RETURNING 1"),
    },
}


def user_of(role):
    return "roles_" + role.replace(" ", "_")


class World:
    """A database in which each role owns a table with a policy, and a stranger two."""

    def __init__(self, server, db):
        self.server, self.db = server, db
        self.admin = Cleanup(server, db)
        self.admin.sql("CREATE ROLE roles_stranger")
        for role, granted in ROLES.items():
            self.admin.sql(f"CREATE ROLE {user_of(role)} LOGIN")
            self.add(f"own {role}", user_of(role))
        self.add("granted", "roles_stranger")
        self.add("foreign", "roles_stranger")
        for role, granted in ROLES.items():
            if granted:
                level, policy = granted if isinstance(granted, tuple) else (granted, None)
                self.admin.sql("SELECT cleanup_grant(%s, %s, %s)", [user_of(role), level, policy])
        self.admin.sql("SELECT cleanup_schedule('*', every => '1 day')")
        self.admin.sql("SELECT cleanup_pause('once'); SELECT cleanup_resume('once')")

    def add(self, policy, owner):
        """With what it leaves in every table. Its runs are skipped, so that there is something to say in cleanup_check."""
        table = "t_" + policy.replace(" ", "_")
        self.admin.sql(f"CREATE TABLE {table} (id int, parent int, parent2 int, at timestamptz); ALTER TABLE {table} OWNER TO {owner}")
        policy_id = self.admin.add_policy(policy, table, "at", "30 days", guard="false")
        self.admin.sql("""SELECT cleanup_add_relation(%s, %s, '{"id": "parent2"}')""", [policy, table])
        self.admin.sql("SELECT cleanup_schedule(%s, every => '1 day')", [policy])
        run_id = self.admin.value("INSERT INTO cleanup_runs (trigger, requested_by, started_at, finished_at, status)"
                                  " VALUES ('manual', 'postgres', now(), now(), 'skipped') RETURNING run_id")
        self.admin.sql("INSERT INTO cleanup_run_targets (run_id, policy_id, policy, table_name, kind, action, status)"
                       " VALUES (%s, %s, %s, %s, 'target', 'delete', 'skipped')", [run_id, policy_id, policy, table])
        self.admin.sql("INSERT INTO cleanup_archives (archive, source, policy_id, policy, named_by_us)"
                       " VALUES (%s::regclass, %s::regclass, %s, %s, true)", [table, table, policy_id, policy])
        self.admin.sql("INSERT INTO cleanup_totals (policy_id, first_run_at, last_run_at) VALUES (%s, now(), now())", [policy_id])

    def values(self, policy):
        row = self.admin.row("SELECT policy_id, (SELECT schedule_id FROM cleanup_schedules s WHERE s.policy_id = p.policy_id)"
                             " AS schedule, (SELECT min(run_id) FROM cleanup_run_targets t WHERE t.policy_id = p.policy_id) AS run"
                             " FROM cleanup_policies p WHERE policy = %s", [policy])
        return {"policy": policy, "table": "t_" + policy.replace(" ", "_"), "id": row.policy_id, "run": row.run,
                "schedule": row.schedule}

    @contextmanager
    def running(self, values, is_wanted):
        change = ("UPDATE cleanup_runs SET status = '{0}' WHERE run_id = {run};"
                  "UPDATE cleanup_run_targets SET status = '{0}' WHERE run_id = {run}")
        if is_wanted:
            self.admin.sql(change.format("running", **values))
        yield
        if is_wanted:
            self.admin.sql(change.format("skipped", **values))

    def permits(self, role, attempt, values):
        """Whether the role gets what it tries; anything but success and a denial is an error of the test."""
        connection = self.server.connect(self.db, user_of(role), autocommit=False)
        try:
            with connection.cursor() as cursor, self.running(values, attempt.get("running")):
                cursor.execute(attempt["statement"].format(**values))
                return not attempt["finds"] or cursor.rowcount > 0
        except psycopg2.Error as error:
            if error.pgcode in attempt.get("permitted", ()):
                return True
            assert error.pgcode in DENIED, f"{role}: {attempt['statement'].format(**values)}: {error}"
            return False
        finally:
            connection.rollback()
            connection.close()

    def cell(self, role, attempt):
        policies = [f"own {role}", "granted", "foreign"]
        if not attempt["per_policy"]:
            return "yes" if self.permits(role, attempt, self.values(policies[0])) else "–"
        own, granted, foreign = (self.permits(role, attempt, self.values(policy)) for policy in policies)
        assert not foreign or (own and granted), (role, attempt)
        if foreign:
            return "yes"
        return {(True, True): "own, that one", (True, False): "own", (False, True): "that one", (False, False): "–"}[own, granted]

    def members(self, catalog, name, where):
        return {row[0] for row in self.admin.rows(f"""
            SELECT {name} FROM {catalog} c JOIN pg_depend d ON d.classid = '{catalog}'::regclass AND d.objid = c.oid
            JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
            WHERE e.extname = 'pg_cleanup' AND d.deptype = 'e' AND {where}""")}


@pytest.fixture(scope="module")
def world(shared_server):
    with shared_server.database("roles") as db:
        made = World(shared_server, db)
        yield made
        made.admin.close()
        users = ", ".join(["roles_stranger", *map(user_of, ROLES)])
        shared_server.sql(f"DROP OWNED BY {users}", dbname=db)
    shared_server.sql(f"DROP ROLE {users}")


def lines_of(name, attempts):
    return attempts if "statement" not in attempts else {name: attempts}


def table(world, what, attempts):
    rows = [f"| {what} | " + " | ".join(ROLES) + " |", "|---|" + "---|" * len(ROLES)]
    for label, attempt in attempts.items():
        function, comma, rest = label.partition(",")
        rows.append(f"| `{function}`{comma}{rest} | " + " | ".join(world.cell(role, attempt) for role in ROLES) + " |")
    return "\n".join(rows) + "\n"


def test_every_function_is_tried(world):
    functions = world.members("pg_proc", "proname", "true")
    assert functions == {*FUNCTIONS, *INTERNAL}, "a new function needs its line in FUNCTIONS, and perhaps in levels.cc"


def test_every_table_is_tried(world):
    assert world.members("pg_class", "relname", "relkind IN ('r', 'v', 'p', 'm', 'f')") == set(TABLES)


def test_internal_functions_are_for_nobody(world):
    for role in ROLES:
        for name in INTERNAL:
            assert not world.admin.value("SELECT bool_or(has_function_privilege(%s, oid, 'EXECUTE')) FROM pg_proc WHERE proname = %s",
                                         [user_of(role), name]), (role, name)


def test_other_tables_are_written_by_nobody(world):
    for role in ROLES:
        for name in set(TABLES) - set(WRITES):
            for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"):
                assert not world.admin.value("SELECT has_table_privilege(%s, %s, %s)", [user_of(role), name, privilege]), (role, name)
        assert not world.admin.value("""SELECT bool_or(has_table_privilege(%s, c.oid, 'TRUNCATE') OR has_any_column_privilege(%s, c.oid, 'REFERENCES'))
            FROM pg_class c WHERE relname = 'cleanup_policies'""", [user_of(role)] * 2), role
        assert not world.admin.rows("""SELECT c.relname FROM pg_class c WHERE relname LIKE 'cleanup\\_%%'
            AND CASE WHEN relkind = 'S' THEN has_sequence_privilege(%s, c.oid, 'USAGE, SELECT, UPDATE') END""", [user_of(role)]), role


def test_table_in_the_docs(world):
    """The whole table, tried line by line."""
    calls = {label: attempt for name, attempts in FUNCTIONS.items() for label, attempt in lines_of(name, attempts).items()}
    reads = {f"{name}, SELECT": attempt for name, attempt in TABLES.items()}
    writes = {f"{name}, {label}": attempt for name, attempts in WRITES.items() for label, attempt in attempts.items()}
    found = BEGIN + table(world, "function", calls) + "\n" + table(world, "table", {**reads, **writes}) + END
    text = PAGE.read_text()
    written = text[text.index(BEGIN):text.index(END) + len(END)]
    if os.environ.get("PG_CLEANUP_WRITE_DOCS"):
        PAGE.write_text(text.replace(written, found))
        return
    assert found == written, "what roles may do has changed: if it should, PG_CLEANUP_WRITE_DOCS=1 writes it down"


# --- what operators really do --------------------------------------------------------------------------------------------


@pytest.fixture
def operated(shared_server, db):
    """A slow policy of one owner, and an operator of that policy alone who may nothing else."""
    shared_server.sql("CREATE ROLE operated_owner LOGIN; CREATE ROLE operated_operator LOGIN; CREATE ROLE operated_viewer LOGIN")
    slow = SlowRun(shared_server, db, owner="operated_owner")
    slow.cleanup.sql("SELECT cleanup_grant('operated_operator', 'operator', 'slow'); SELECT cleanup_grant('operated_viewer', 'viewer')")
    slow.operator, slow.viewer = (Cleanup(shared_server, db, user) for user in ("operated_operator", "operated_viewer"))
    yield slow
    for session in (slow.cleanup, slow.operator, slow.viewer):
        session.close()
    shared_server.sql("DROP OWNED BY operated_owner, operated_operator, operated_viewer CASCADE", dbname=db)
    shared_server.sql("DROP ROLE operated_owner, operated_operator, operated_viewer")


def test_operator_runs_with_the_owners_rights(operated):
    operated.set_pace(0)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        operated.operator.sql("DELETE FROM slow")
    done = operated.operator.run("slow")
    assert (done.status, done.rows) == ("succeeded", operated.due), done
    assert operated.operator.run_row(done.run_id).requested_by == "operated_operator"
    audit = operated.operator.row("SELECT * FROM cleanup_audit WHERE run_id = %s", [done.run_id])
    assert (audit.actor, audit.session_actor, audit.event) == ("operated_operator", "operated_owner", "run")
    assert operated.left() == operated.young


def test_operator_cannot_go_further_than_the_policy(operated):
    for named in ({"retain": "1 hour"}, {"force": True}):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            operated.operator.run("slow", **named)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            operated.operator.run("slow", wait=False, **named)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        operated.operator.runs(force=True)
    assert operated.cleanup.value("SELECT count(*) FROM cleanup_runs") == 0 and operated.missing() == 0


def test_cancel_of_a_run_of_every_policy(operated):
    """By who operates one of its policies; who only sees it may not, and who does not see it finds no run."""
    operated.cleanup.sql("CREATE TABLE other (id int, at timestamptz)")
    operated.cleanup.add_policy("other", "other", "at", "30 days", priority=200)
    (first, *_) = operated.cleanup.runs(wait=False)
    operated.cleanup.wait_for_rows(first.run_id, 100)
    cancel = "SELECT cleanup_cancel(%s)"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        operated.viewer.sql(cancel, [first.run_id])
    operated.cleanup.sql("GRANT EXECUTE ON FUNCTION cleanup_cancel TO operated_viewer")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        operated.viewer.sql(cancel, [first.run_id])
    operated.cleanup.sql("SELECT cleanup_revoke('operated_viewer', 'viewer')")
    with pytest.raises(psycopg2.errors.UndefinedObject):
        operated.viewer.sql(cancel, [first.run_id])
    assert operated.operator.value(cancel, [first.run_id]) is True
    assert operated.cleanup.wait_for_run(first.run_id).status == "cancelled"
    assert {row.policy for row in operated.operator.rows("SELECT policy FROM cleanup_run_targets")} == {"slow"}


def test_level_revoked_before_the_run_starts(operated):
    """wait => false starts when the transaction commits: the rights of that moment count."""
    operated.set_pace(0)
    connection = operated.operator.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT run_id FROM cleanup_run('slow', wait => false)")
        run_id = cursor.fetchone()[0]
        operated.cleanup.sql("SELECT cleanup_revoke('operated_operator', 'operator', 'slow')")
        connection.commit()
    connection.close()
    operated.cleanup.wait_for_run(run_id)
    assert operated.missing() == 0


def test_settings_of_a_role_hide_nothing_from_the_bookkeeping(operated):
    """row_security and search_path of whoever asks."""
    operated.set_pace(0)
    operated.operator.sql("SET row_security = off; SET search_path = pg_catalog")
    assert operated.operator.value("SELECT rows FROM public.cleanup_run('slow')") == operated.due
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        operated.operator.sql("SELECT FROM public.cleanup_runs")


def test_nobody_takes_the_place_of_a_policy_that_is_gone(shared_server, db):
    """By its id he would see what it left behind. A restore, which is the superuser's, keeps ids and creators."""
    admin = Cleanup(shared_server, db)
    admin.sql("CREATE ROLE roles_heir LOGIN; SELECT cleanup_grant('roles_heir', 'owner')")
    admin.sql("CREATE TABLE secret (at timestamptz); CREATE TABLE own (at timestamptz); ALTER TABLE own OWNER TO roles_heir")
    gone = admin.add_policy("gone", "secret", "at", "30 days")
    admin.run("gone")
    admin.sql("SELECT cleanup_drop_policy('gone')")
    heir = Cleanup(shared_server, db, "roles_heir")
    heir.sql("INSERT INTO cleanup_policies (policy_id, policy, target, age_column, retain, created_by)"
             " VALUES (%s, 'heir', 'own', 'at', '1 day', 'postgres')", [gone])
    made = heir.row("SELECT policy_id, created_by FROM cleanup_policies")
    assert made.policy_id != gone and made.created_by == "roles_heir"
    for table in ("cleanup_runs", "cleanup_run_targets"):
        assert heir.value(f"SELECT count(*) FROM {table}") == 0, table
    assert heir.rows("SELECT event, policy, actor FROM cleanup_audit") == [("policy_added", "heir", "roles_heir")]
    assert heir.value("SELECT policy FROM cleanup_policy_states() WHERE state = 'ready'") == "heir"
    admin.sql("INSERT INTO cleanup_policies (policy_id, policy, target, age_column, retain, created_by)"
              " VALUES (%s, 'gone', 'secret', 'at', '1 day', 'somebody')", [gone])
    assert admin.value("SELECT created_by FROM cleanup_policies WHERE policy_id = %s", [gone]) == "somebody"
    heir.close()
    admin.sql("DROP OWNED BY roles_heir CASCADE; DROP ROLE roles_heir")
    admin.close()
