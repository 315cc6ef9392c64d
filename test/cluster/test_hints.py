"""Statements in hints and warnings can be pasted as they are, also where the extension has a schema of its own that no
search_path leads to."""

import psycopg2
import pytest

from surface import Cleanup

SCHEMA = "The Cleaner"


@pytest.fixture
def cleanup(shared_server):
    with shared_server.database("hints", extension=False) as name:
        made = Cleanup(shared_server, name)
        made.sql(f'CREATE SCHEMA "{SCHEMA}"')
        made.sql(f'CREATE EXTENSION pg_cleanup SCHEMA "{SCHEMA}"')
        made.sql("CREATE TABLE parent (id int PRIMARY KEY, at timestamptz)")
        made.sql("INSERT INTO parent SELECT n, now() - n * interval '1 day' FROM generate_series(1, 10) n")
        call(made, "cleanup_add_policy('it''s old', 'parent', 'at', '5 days')")
        yield made
        made.close()


def call(cleanup, expression):
    return cleanup.rows(f'SELECT * FROM "{SCHEMA}".{expression}')


def statement_in(text):
    """From its first keyword on, to its end."""
    return text[min(text.index(word) for word in ("SELECT ", "CREATE INDEX ") if word in text):]


def warning(cleanup, words):
    (found,) = [text for text in call(cleanup, "cleanup_dry_run('it''s old')")[0].warnings if words in text]
    return found


def is_enabled(cleanup):
    return cleanup.value(f'SELECT enabled FROM "{SCHEMA}".cleanup_policies')


def test_disabled_policy(cleanup):
    disable = "cleanup_alter_policy('it''s old', enabled => false)"
    call(cleanup, disable)
    with pytest.raises(psycopg2.Error) as raised:
        call(cleanup, "cleanup_run('it''s old')")
    cleanup.sql(raised.value.diag.message_hint)
    assert is_enabled(cleanup)
    call(cleanup, disable)
    cleanup.sql(statement_in(warning(cleanup, "is disabled")))
    assert is_enabled(cleanup)


def test_preview_is_not_for_everybody(cleanup, shared_server):
    shared_server.sql("CREATE ROLE hints_viewer LOGIN")
    try:
        call(cleanup, "cleanup_grant('hints_viewer', 'viewer')")
        viewer = Cleanup(shared_server, cleanup.dbname, user="hints_viewer")
        with pytest.raises(psycopg2.Error) as raised:
            call(viewer, "cleanup_preview('it''s old')")
        assert viewer.rows(statement_in(raised.value.diag.message_hint))[0].eligible_rows == 6
        viewer.close()
    finally:
        cleanup.sql("DROP OWNED BY hints_viewer")
        shared_server.sql("DROP ROLE hints_viewer")


def test_large_family(cleanup):
    cleanup.sql("""
        CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE);
        CREATE INDEX ON child (parent_id);
        INSERT INTO child SELECT n, 10 FROM generate_series(1, 500) n;
        ANALYZE""")
    cleanup.sql(f'ALTER DATABASE {cleanup.dbname} SET pg_cleanup.max_family_rows = 100')
    cleanup.sql(statement_in(warning(cleanup, "The largest family")))
    assert cleanup.value(f'SELECT split_families FROM "{SCHEMA}".cleanup_policies')


def test_indexes_of_many_partitions(cleanup):
    """What is left out is said in a comment."""
    cleanup.sql("""
        CREATE TABLE child (id int, parent_id int REFERENCES parent ON DELETE CASCADE) PARTITION BY LIST (id);
        CREATE TABLE child_1 PARTITION OF child FOR VALUES IN (1);
        CREATE TABLE child_2 PARTITION OF child FOR VALUES IN (2);
        CREATE TABLE child_3 PARTITION OF child FOR VALUES IN (3);
        CREATE TABLE child_4 PARTITION OF child FOR VALUES IN (4);
        CREATE TABLE child_5 PARTITION OF child FOR VALUES IN (5)""")
    (hint,) = [row.hint for row in call(cleanup, "cleanup_check()") if row.check_name == "reference_index"]
    cleanup.server.psql(hint, dbname=cleanup.dbname)
    assert cleanup.value("SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relname LIKE 'child%'") == 3
    assert statement_in(warning(cleanup, "without an index")).endswith(";")  # two are left


def state(cleanup):
    return call(cleanup, "cleanup_policy_states('it''s old')")[0].state


def check_hint(cleanup, check_name):
    (hint,) = [row.hint for row in call(cleanup, "cleanup_check()") if row.check_name == check_name]
    return hint


def hints_of_refusals(cleanup, *calls):
    hints = set()
    for one in calls:
        with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState) as raised:
            call(cleanup, one)
        hints.add(raised.value.diag.message_hint)
    return hints


@pytest.fixture
def related(cleanup):
    cleanup.sql("CREATE TABLE friend (id int PRIMARY KEY, a int, b int)")
    call(cleanup, "cleanup_add_relation('it''s old', 'friend', '{\"id\": \"a\"}')")
    return cleanup


def test_related_table_is_gone(related):
    """It is not the policy that has to go."""
    related.sql("DROP TABLE friend")
    assert state(related) == "unbound"
    hint = check_hint(related, "policy_state")
    assert hints_of_refusals(related, "cleanup_run('it''s old')", "cleanup_dry_run('it''s old')", "cleanup_alter_policy('it''s old')") == {hint}
    related.sql(hint[hint.index("DELETE "):])
    assert state(related) == "ready"


def test_related_column_is_gone(related):
    related.sql("ALTER TABLE friend DROP COLUMN a")
    assert state(related) == "broken"
    hint = check_hint(related, "policy_state")
    assert hints_of_refusals(related, "cleanup_run('it''s old')", "cleanup_dry_run('it''s old')") == {hint}
    related.sql(statement_in(hint))
    assert state(related) == "ready"


def test_related_columns_changed_names(related):
    related.sql("ALTER TABLE friend RENAME a TO c; ALTER TABLE friend RENAME b TO a")
    assert state(related) == "broken"
    related.sql(statement_in(check_hint(related, "policy_state")))
    assert state(related) == "ready"


def test_target_is_gone(cleanup):
    cleanup.sql("DROP TABLE parent")
    hint = check_hint(cleanup, "policy_state")
    assert "target =>" in hint
    assert hints_of_refusals(cleanup, "cleanup_run('it''s old')", "cleanup_dry_run('it''s old')") == {hint}
    cleanup.sql(statement_in(hint))
    assert call(cleanup, "cleanup_policy_states()") == []


def test_rows_that_were_left_behind(cleanup):
    cleanup.sql("CREATE TABLE child (parent_id int REFERENCES parent); CREATE INDEX ON child (parent_id); INSERT INTO child VALUES (10)")
    assert call(cleanup, "cleanup_run('it''s old')")[0].status == "partial"
    ((skipped,),) = cleanup.rows(statement_in(check_hint(cleanup, "last_run")).split(" -- ")[0])
    assert skipped[0]["rows"] == 1 and "public.child" in skipped[0]["reason"]


def test_a_failed_run_says_why(cleanup):
    """The detail of our own errors is part of the message; without it nobody knows which column it is."""
    call(cleanup, "cleanup_alter_policy('it''s old', action => 'archive')")
    assert call(cleanup, "cleanup_run('it''s old')")[0].status == "succeeded"
    cleanup.sql("INSERT INTO parent VALUES (77, now() - interval '1 year'); ALTER TABLE parent_archive RENAME id TO number")
    done = call(cleanup, "cleanup_run('it''s old')")[0]
    assert done.status == "failed" and '"number"' in done.message, done.message


def test_schedule_of_a_disabled_policy(cleanup):
    """NULL as the next time does not say why there is none."""
    call(cleanup, "cleanup_alter_policy('it''s old', enabled => false)")
    del cleanup.connection.notices[:]
    assert call(cleanup, "cleanup_schedule('it''s old', at => '03:00')")[0][0] is None
    (notice,) = [notice for notice in cleanup.connection.notices if "disabled" in notice]
    assert notice.startswith("WARNING:")
    cleanup.sql(statement_in(notice))
    assert is_enabled(cleanup)
