"""What only some versions of PostgreSQL have, or have in another way."""

import psycopg2
import pytest

from surface import Cleanup


@pytest.fixture
def cleanup(shared_server, db):
    return Cleanup(shared_server, db)


def needs(cleanup, major):
    if cleanup.value("SELECT current_setting('server_version_num')::int") < major * 10000:
        pytest.skip(f"needs PostgreSQL {major}")


def test_virtual_generated_columns(cleanup):
    """As age and in a condition: computed when they are read, never stored."""
    needs(cleanup, 18)
    cleanup.sql("""
        CREATE TABLE notes (id int, day date NOT NULL, due date GENERATED ALWAYS AS (day + 30) VIRTUAL,
          odd boolean GENERATED ALWAYS AS (id % 2 = 1) VIRTUAL);
        INSERT INTO notes SELECT n, current_date - n FROM generate_series(1, 60) n""")
    cleanup.add_policy("notes", "notes", "due", "0", condition="odd", time_zone="UTC")
    expected = cleanup.value("SELECT count(*) FROM notes WHERE due < current_date AND odd")
    assert expected == 15
    assert cleanup.dry_run("notes").eligible_rows == expected
    assert len(cleanup.preview("notes", rows=50)) == expected
    done = cleanup.run("notes")
    assert (done.status, done.rows) == ("succeeded", expected)
    assert cleanup.value("SELECT count(*) FROM notes WHERE due < current_date AND odd") == 0
    assert cleanup.value("SELECT count(*) FROM notes") == 60 - expected


def test_temporal_foreign_keys(cleanup):
    """They compare periods, so nothing here follows them: what they refuse stays, and is said to."""
    needs(cleanup, 18)
    cleanup.sql("""
        CREATE TABLE rooms (id int4range, valid daterange, at timestamptz NOT NULL, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
        CREATE TABLE bookings (id int4range, valid daterange,
          FOREIGN KEY (id, PERIOD valid) REFERENCES rooms (id, PERIOD valid));
        INSERT INTO rooms SELECT int4range(n, n + 1), daterange('2020-01-01', '2021-01-01'), now() - interval '90 days'
          FROM generate_series(1, 40) n;
        INSERT INTO bookings SELECT int4range(n, n + 1), daterange('2020-05-01', '2020-06-01') FROM generate_series(10, 12) n""")
    cleanup.add_policy("rooms", "rooms", "at", "30 days")
    done = cleanup.run("rooms")
    assert (done.status, done.rows, done.skipped_rows) == ("partial", 37, 3)
    assert cleanup.value("SELECT array_agg(lower(id) ORDER BY id) FROM rooms") == [10, 11, 12]
    assert cleanup.value("SELECT count(*) FROM bookings") == 3


def test_membership_without_inheritance(cleanup, shared_server):
    """Whoever would have to SET ROLE first has none of the owner's rights: from 16 on that is a matter of each grant."""
    roles = ["versions_owner", "versions_member"]
    cleanup.sql("CREATE ROLE versions_owner; CREATE ROLE versions_member LOGIN NOINHERIT; GRANT versions_owner TO versions_member")
    try:
        cleanup.sql("""
            SELECT cleanup_grant('versions_member', 'owner');
            CREATE TABLE events (id int, at timestamptz);
            ALTER TABLE events OWNER TO versions_owner""")
        member = Cleanup(shared_server, cleanup.dbname, user="versions_member")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            member.add_policy("events", "events", "at", "30 days")
        if cleanup.value("SELECT current_setting('server_version_num')::int") >= 160000:
            cleanup.sql("GRANT versions_owner TO versions_member WITH INHERIT TRUE")
        else:
            cleanup.sql("ALTER ROLE versions_member INHERIT")
        member.add_policy("events", "events", "at", "30 days")
        member.close()
    finally:
        cleanup.sql("SELECT cleanup_revoke('versions_member', 'owner')")
        cleanup.sql(f"DROP TABLE IF EXISTS events; DROP OWNED BY {', '.join(roles)}; DROP ROLE {', '.join(roles)}")
