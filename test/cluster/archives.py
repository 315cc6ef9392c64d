"""What the tests of archives share: contents of tables as text, and the calls."""

import psycopg2
import pytest


def contents(cleanup, *tables):
    """Every row of the tables as text, however they are stored."""
    return {table: sorted(row[0] for row in cleanup.rows(f"SELECT t::text FROM {table} t")) for table in tables}


def archived(cleanup, archive):
    return cleanup.value(f"SELECT count(*) FROM {archive}")


def restore(cleanup, run_id, policy=None, condition=None):
    """The rows per table by name, and the rows of conflicts."""
    rows = cleanup.rows("SELECT *, relation::text AS name FROM cleanup_restore(%s, %s, %s)", [run_id, policy, condition])
    return ({row.name: row for row in rows if row.status != "conflict"}, [row for row in rows if row.status == "conflict"])


def refused(cleanup, query, *words, code=None, params=None):
    """The query's error, which must have the words in message, detail or hint."""
    with pytest.raises(psycopg2.Error) as caught:
        cleanup.rows(query, params)
    error = caught.value
    text = " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)))
    for word in words:
        assert word in text, text
    if code:
        assert error.pgcode == code, (error.pgcode, text)
    return error
