"""Policies through pg_dump and back: in every order, by COPY and by INSERT, into another database."""

import itertools

import pytest

from surface import Cleanup

_numbers = itertools.count(1)

TABLES = """
CREATE SCHEMA "My App";
CREATE FUNCTION "My App".is_noise(text) RETURNS boolean STABLE LANGUAGE sql AS $$ SELECT $1 = 'noise' $$;
CREATE TABLE "My App"."Events" (id int PRIMARY KEY, "At" timestamptz, kind varchar(10));
CREATE TABLE "My App".held (event_id int);
CREATE TABLE plain (id int, at bigint);
"""
ROWS = """
INSERT INTO "My App"."Events" SELECT n, now() - n * interval '1 day', 'x' FROM generate_series(1, 50) n;
INSERT INTO plain SELECT n, extract(epoch FROM now()) * 1000 FROM generate_series(1, 50) n;
"""
POLICIES = """
SELECT cleanup_add_policy('events', '"My App"."Events"', 'At', '30 days', time_zone => 'Europe/Berlin', priority => 5);
SELECT cleanup_add_policy('quoted "name"', '"My App"."Events"', 'At', '1 mon 3 days 04:05:06',
  condition => $$kind IN ('x', 'noise') AND "My App".is_noise(kind) AND id NOT IN (SELECT event_id FROM "My App".held)$$,
  guard => 'EXISTS (SELECT FROM plain)', refuse_above_fraction => 0.1, batch_size => 7, description => E'two\\nlines\\ttab');
SELECT cleanup_add_policy('plain', 'plain', 'at', '1 year', age_unit => 'ms', enabled => false);
"""
DECLARED = """SELECT policy, target::text, age_column, retain, condition, age_unit, guard, batch_size, refuse_above_fraction, time_zone,
  priority, enabled, description, created_by, created_at FROM cleanup_policies ORDER BY policy_id"""


@pytest.fixture
def databases(shared_server):
    """Makes empty databases that go away with the test; without the extension."""
    made = []

    def make(extension=False):
        context = shared_server.database(f"dump_{next(_numbers)}", extension=extension)
        made.append(context)
        return Cleanup(shared_server, context.__enter__())

    yield make
    for context in reversed(made):
        context.__exit__(None, None, None)


@pytest.fixture
def original(databases):
    made = databases(extension=True)
    made.sql(TABLES)
    made.sql(ROWS)
    made.sql(POLICIES)
    return made


def dump(cleanup, *options):
    return cleanup.server.run(["pg_dump", *options, cleanup.server.dsn(cleanup.dbname)]).stdout


def restore(cleanup, script):
    cleanup.close()
    return cleanup.server.psql(script, cleanup.dbname)


def states(cleanup):
    return {row.policy: row.state for row in cleanup.rows("SELECT * FROM cleanup_policy_states()")}


ALL_READY = {"events": "ready", 'quoted "name"': "ready", "plain": "disabled"}


@pytest.mark.parametrize("how", [[], ["--inserts"], ["--column-inserts", "--rows-per-insert=10"]], ids=["copy", "inserts", "column_inserts"])
def test_whole_database(original, databases, how):
    copy = databases()
    restore(copy, dump(original, *how))
    assert copy.rows(DECLARED) == original.rows(DECLARED)
    assert states(copy) == ALL_READY
    # The audit came along, and goes on behind it; so do the policies' numbers.
    audited = "SELECT audit_id, at, actor, event, policy FROM cleanup_audit ORDER BY audit_id"
    assert copy.rows(audited) == original.rows(audited)
    last = copy.value("SELECT max(audit_id) FROM cleanup_audit")
    assert copy.add_policy("new", "plain", "at", "1 year", age_unit="ms") == 4
    assert copy.value("SELECT max(audit_id) FROM cleanup_audit") == last + 1
    copy.alter_policy("events", retain="40 days")
    copy.sql("SELECT cleanup_drop_policy('plain')")
    # And a dump of the copy is the dump of the original, where nothing was changed.
    again = databases()
    restore(again, dump(copy, *how))
    assert again.rows(DECLARED) == copy.rows(DECLARED)


def test_custom_format_in_parallel(original, databases, tmp_path):
    copy = databases()
    tmp_path.chmod(0o755)
    archive = str(tmp_path / "archive")
    original.server.run(["pg_dump", "-Fd", "-f", archive, original.server.dsn(original.dbname)])
    original.server.run(["pg_restore", "-j", "4", "-d", copy.server.dsn(copy.dbname), archive])
    assert copy.rows(DECLARED) == original.rows(DECLARED)
    assert states(copy) == ALL_READY


def test_table_renamed_right_before_the_dump(original, databases):
    original.sql('ALTER TABLE "My App"."Events" RENAME TO "Happen\'ings"; ALTER SCHEMA "My App" RENAME TO app')
    copy = databases()
    restore(copy, dump(original))
    assert copy.value("SELECT target::text FROM cleanup_policies WHERE policy = 'events'") == "app.\"Happen'ings\""
    assert states(copy)["events"] == "ready"
    # Its own text names the schema that is no longer there: broken in both, silently wrong in neither.
    assert states(copy)['quoted "name"'] == states(original)['quoted "name"'] == "broken"


@pytest.mark.parametrize("how", [[], ["--inserts"]], ids=["copy", "inserts"])
def test_policies_before_the_tables(original, databases, how):
    copy = databases(extension=True)
    restore(copy, dump(original, "--data-only", "-t", "cleanup_policies", "-t", "cleanup_policies_policy_id_seq", "-e", "pg_cleanup", *how))
    assert set(states(copy).values()) == {"unbound", "disabled"}
    assert [row.target for row in copy.rows(DECLARED)] == [row.target for row in original.rows(DECLARED)]
    copy.sql(TABLES)
    assert states(copy) == ALL_READY
    # Bound by its first run: from then on by identity, no longer by name.
    copy.sql(ROWS)
    assert copy.value("SELECT cleanup_target_is_bound(target) FROM cleanup_policies WHERE policy = 'events'") is False


def test_without_the_tables(original, databases):
    """As pg_dump of the extension's schema alone would give it: nothing is lost, nothing runs, and it can be dumped again."""
    copy = databases(extension=True)
    script = dump(original, "--data-only", "-t", "cleanup_policies", "-e", "pg_cleanup")
    restore(copy, script)
    assert set(states(copy).values()) == {"unbound", "disabled"}
    again = databases(extension=True)
    restore(again, dump(copy, "--data-only", "-t", "cleanup_policies", "-e", "pg_cleanup"))
    assert again.rows(DECLARED) == original.rows(DECLARED)
    # They can be switched off, and thrown away.
    again.sql("UPDATE cleanup_policies SET enabled = false WHERE policy = 'events'")
    again.sql("SELECT cleanup_drop_policy(policy) FROM cleanup_policies")
    assert states(again) == {}


def test_policies_after_the_tables(original, databases):
    copy = databases(extension=True)
    copy.sql(TABLES)
    restore(copy, dump(original, "--data-only", "-t", "cleanup_policies", "-e", "pg_cleanup"))
    assert states(copy) == ALL_READY
    assert copy.rows(DECLARED) == original.rows(DECLARED)


def test_into_a_database_where_a_name_means_something_else(original, databases):
    """A column of another type, a function that is not there: kept, broken, visible; never bound to what is not meant."""
    copy = databases(extension=True)
    copy.sql(TABLES.replace('"At" timestamptz', '"At" text').replace("is_noise", "was_noise"))
    restore(copy, dump(original, "--data-only", "-t", "cleanup_policies", "-e", "pg_cleanup"))
    assert states(copy) == {"events": "broken", 'quoted "name"': "broken", "plain": "disabled"}
    copy.sql('ALTER TABLE "My App"."Events" ALTER "At" TYPE timestamptz USING NULL; '
             'ALTER FUNCTION "My App".was_noise(text) RENAME TO is_noise')
    assert states(copy) == ALL_READY


def test_in_a_schema_of_its_own(shared_server, databases):
    source, copy = databases(), databases()
    source.sql('CREATE SCHEMA "of its own"; CREATE EXTENSION pg_cleanup SCHEMA "of its own"')
    source.sql(TABLES)
    source.sql('SET search_path = public, "of its own"')
    source.sql(POLICIES)
    restore(copy, dump(source))
    copy.sql('SET search_path = public, "of its own"')
    assert copy.rows(DECLARED) == source.rows(DECLARED)
    assert states(copy) == ALL_READY


def test_another_number_of_the_table_is_another_table(original):
    """An OID alone binds nothing: what was dropped is gone, whatever has its name or number now."""
    original.sql("CREATE TABLE short (id int, at timestamptz)")
    original.add_policy("short", "short", "at", "1 day")
    original.sql("DROP TABLE short; CREATE TABLE short (id int, at timestamptz)")
    assert states(original)["short"] == "unbound"
    assert original.value("SELECT target::regclass IS NULL FROM cleanup_policies WHERE policy = 'short'")
    original.sql("SELECT cleanup_alter_policy('short', target => 'short')")
    assert states(original)["short"] == "ready"


RELATIONS = """
SELECT cleanup_add_relation('events', '"My App".held', '{"id": "event_id"}', unless_referenced => false);
SELECT cleanup_add_relation('events', 'plain', '{"id": "id"}');
"""
DECLARED_RELATIONS = """SELECT policy, related::text, on_columns, unless_referenced, r.created_by, r.created_at
  FROM cleanup_relations r JOIN cleanup_policies USING (policy_id) ORDER BY relation_id"""
DUMP_BOTH = ["--data-only", "-t", "cleanup_policies", "-t", "cleanup_relations", "-e", "pg_cleanup"]


@pytest.fixture
def related(original):
    original.sql(RELATIONS)
    return original


@pytest.mark.parametrize("how", [[], ["--inserts"]], ids=["copy", "inserts"])
def test_relations(related, databases, how):
    copy = databases()
    restore(copy, dump(related, *how))
    assert len(copy.rows(DECLARED_RELATIONS)) == 2 and copy.rows(DECLARED_RELATIONS) == related.rows(DECLARED_RELATIONS)
    assert states(copy) == ALL_READY
    audited = "SELECT event, count(*) FROM cleanup_audit GROUP BY event ORDER BY event"
    assert copy.rows(audited) == related.rows(audited)
    # They are bound, not only named: what is swapped is noticed. And numbers go on.
    copy.sql("ALTER TABLE plain RENAME id TO was_id; ALTER TABLE plain RENAME at TO id")
    assert states(copy)["events"] == "broken"
    copy.sql("SELECT cleanup_drop_relation('events', 'plain')")
    assert states(copy)["events"] == "ready"
    assert copy.value("SELECT cleanup_add_relation('events', 'plain', '{\"id\": \"was_id\"}')") == 3


def test_relations_before_their_tables(related, databases):
    copy = databases(extension=True)
    restore(copy, dump(related, *DUMP_BOTH))
    assert states(copy)["events"] == "unbound"
    assert copy.rows(DECLARED_RELATIONS) == related.rows(DECLARED_RELATIONS)
    copy.sql(TABLES.replace("CREATE TABLE plain (id int, at bigint);", ""))
    assert states(copy)["events"] == "unbound", "the target is there, a related table is not"
    again = databases(extension=True)
    restore(again, dump(copy, *DUMP_BOTH))
    assert again.rows(DECLARED_RELATIONS) == related.rows(DECLARED_RELATIONS)
    copy.sql("CREATE TABLE plain (id int, at bigint)")
    assert states(copy) == ALL_READY
    # Bound by the first run.
    copy.run("events")
    assert copy.value("SELECT bool_and(cleanup_target_is_bound(related)) FROM cleanup_relations")
    assert states(copy) == ALL_READY
    copy.sql("ALTER TABLE plain RENAME id TO was_id; ALTER TABLE plain RENAME at TO id")
    assert states(copy)["events"] == "broken"


def test_relations_after_their_tables(related, databases):
    copy = databases(extension=True)
    copy.sql(TABLES.replace("held (event_id int)", "held (event_id text)"))
    restore(copy, dump(related, *DUMP_BOTH))
    assert copy.rows(DECLARED_RELATIONS) == related.rows(DECLARED_RELATIONS)
    assert states(copy)["events"] == "broken"
    copy.sql('ALTER TABLE "My App".held ALTER event_id TYPE int USING NULL')
    assert states(copy) == ALL_READY


def test_numbers_of_runs_are_not_given_out_again(original, databases):
    """Archived rows name their run: a later run with the number would bring them back with its own."""
    original.sql("SELECT cleanup_alter_policy('events', action => 'archive')")
    first = original.run("events")
    copy = databases()
    restore(copy, dump(original))
    copy.sql("""INSERT INTO "My App"."Events" VALUES (1000, now() - interval '90 days', 'x')""")
    second = copy.run("events")
    assert second.rows == 1 and second.run_id > first.run_id, second
    restored = copy.rows("SELECT * FROM cleanup_restore(%s, 'events')", [second.run_id])
    assert [row.rows for row in restored] == [1], restored
    restored = copy.rows("SELECT * FROM cleanup_restore(%s, 'events')", [first.run_id])
    assert [row.rows for row in restored] == [first.rows], restored
