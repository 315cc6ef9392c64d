"""Grants through pg_dump and back: with their privileges, to roles that are there, and to nobody else."""

import itertools

import pytest

from surface import Cleanup

_numbers = itertools.count(1)
ROLES = ("dumped_viewer", "dumped_one", "Dumped Owner", "dumped_admin", "dumped_gone")


@pytest.fixture
def databases(shared_server):
    made = []

    def make(extension=False):
        context = shared_server.database(f"grants_dump_{next(_numbers)}", extension=extension)
        made.append((context, context.__enter__()))
        return Cleanup(shared_server, made[-1][1])

    yield make
    users = ", ".join(f'"{role}"' for role in ROLES)
    shared_server.sql("".join(f'DO $$ BEGIN CREATE ROLE "{role}"; EXCEPTION WHEN duplicate_object THEN END $$;' for role in ROLES))
    for context, name in reversed(made):
        shared_server.sql(f"DROP OWNED BY {users}", dbname=name)
        context.__exit__(None, None, None)
    shared_server.sql(f"DROP ROLE {users}")


@pytest.fixture
def original(databases):
    made = databases(extension=True)
    for role in ROLES:
        made.sql(f'CREATE ROLE "{role}" LOGIN')
    made.sql("CREATE TABLE one (id int, at timestamptz); CREATE TABLE two (id int, at timestamptz)")
    for policy in ("one", "two"):
        made.add_policy(policy, policy, "at", "30 days")
    for grant in (("dumped_viewer", "viewer"), ("dumped_one", "operator", "one"), ("Dumped Owner", "owner"), ("dumped_admin", "admin"),
                  ("dumped_gone", "viewer")):
        made.sql("SELECT cleanup_grant(%s, %s, %s)", [*grant, None][:3])
    return made


def dump(cleanup, *options):
    return cleanup.server.run(["pg_dump", *options, cleanup.server.dsn(cleanup.dbname)]).stdout


def restore(cleanup, script):
    cleanup.close()
    return cleanup.server.psql(script, cleanup.dbname)


def as_role(cleanup, role, query):
    session = Cleanup(cleanup.server, cleanup.dbname, role)
    try:
        return [row[0] for row in session.rows(query)]
    finally:
        session.close()


GRANTS = "SELECT grant_id, role, level, policy, granted_by, granted_at FROM cleanup_grants ORDER BY grant_id"
PRIVILEGES = """SELECT o.name, a.grantee::regrole::text, a.privilege_type FROM (
    SELECT oid::regclass::text AS name, relacl AS acl FROM pg_class WHERE relname LIKE 'cleanup\\_%' AND relkind IN ('r', 'v')
    UNION ALL SELECT oid::regprocedure::text, proacl FROM pg_proc WHERE proname LIKE 'cleanup\\_%') o, aclexplode(o.acl) a ORDER BY 1, 2, 3"""


def check_status(cleanup):
    return [row.detail for row in cleanup.rows("SELECT * FROM cleanup_check()") if row.check_name == "grants" and row.status != "ok"]


@pytest.mark.parametrize("how", [[], ["--inserts"]], ids=["copy", "inserts"])
def test_whole_database(original, databases, how):
    copy = databases()
    restore(copy, dump(original, *how))
    assert copy.rows(GRANTS) == original.rows(GRANTS)
    assert copy.rows(PRIVILEGES) == original.rows(PRIVILEGES)
    assert check_status(copy) == []
    assert as_role(copy, "dumped_viewer", "SELECT policy FROM cleanup_stats() ORDER BY 1") == ["one", "two"]
    assert as_role(copy, "dumped_one", "SELECT policy FROM cleanup_run() ORDER BY 1") == ["one"]
    # And is as good to change, and to dump, as the original.
    copy.sql("SELECT cleanup_revoke('dumped_one', 'operator', 'one'), cleanup_grant('dumped_one', 'viewer')")
    assert as_role(copy, "dumped_one", "SELECT policy FROM cleanup_stats() ORDER BY 1") == ["one", "two"]
    again = databases()
    restore(again, dump(copy, *how))
    assert again.rows(GRANTS) == copy.rows(GRANTS) and again.rows(PRIVILEGES) == copy.rows(PRIVILEGES)


def test_what_is_not_in_force_stays_behind(original, databases):
    """A dead grant must not come to life for a new role of the same name."""
    original.sql('DROP OWNED BY dumped_gone; DROP ROLE dumped_gone; CREATE ROLE dumped_gone LOGIN')
    original.sql("SELECT cleanup_grant('dumped_gone', 'viewer', 'one')")
    copy = databases()
    restore(copy, dump(original))
    assert copy.rows("SELECT level, policy FROM cleanup_grants WHERE role = 'dumped_gone'") == [("viewer", "one")]
    assert as_role(copy, "dumped_gone", "SELECT policy FROM cleanup_stats()") == ["one"]


def test_role_that_is_not_there(original, databases):
    script = dump(original, "--no-privileges")
    original.sql('DROP OWNED BY dumped_viewer; DROP ROLE dumped_viewer')
    copy = databases()
    restore(copy, script)
    (detail,) = [detail for detail in check_status(copy) if "dumped_viewer" in detail]
    assert "not there when the grant was restored" in detail
    copy.sql("CREATE ROLE dumped_viewer LOGIN")
    assert copy.value("SELECT count(*) FROM cleanup_grant_bindings b JOIN cleanup_grants USING (grant_id) WHERE cleanup_grants.role = 'dumped_viewer'") == 0
    # Without privileges the others are found, and put right by what the hint says.
    for hint in [row.hint for row in copy.rows("SELECT * FROM cleanup_check()") if row.check_name == "grants"]:
        copy.sql(hint.partition(" -- or")[0])
    assert check_status(copy) == []
    assert copy.rows("SELECT 1 FROM cleanup_grants WHERE role = 'dumped_viewer'") == []
    assert as_role(copy, "dumped_one", "SELECT policy FROM cleanup_stats()") == ["one"]


def test_schema_that_nobody_may_use(shared_server, original, databases):
    """The extension in a schema of its own: a level opens it, and the dump has that too."""
    source, copy = databases(), databases()
    source.sql('CREATE SCHEMA "Its Own"; CREATE EXTENSION pg_cleanup SCHEMA "Its Own"')
    source.sql("""SELECT "Its Own".cleanup_grant('dumped_viewer', 'viewer')""")
    restore(copy, dump(source))
    for made in (source, copy):
        assert as_role(made, "dumped_viewer", 'SELECT count(*) FROM "Its Own".cleanup_stats()') == [0]
        assert as_role(made, "dumped_viewer", 'SELECT count(*) FROM "Its Own".cleanup_policies') == [0]
