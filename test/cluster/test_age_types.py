"""Every kind of age, in dry run and run, against plain SQL: nothing, infinite, future and mixed ages, DST nights, zones."""

import pytest

from age_model import KINDS
from surface import Cleanup, literal

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns"]

# zone, the instant at which its clock jumps, and by how many minutes (forward: times that do not exist; back: times twice).
NIGHTS = [
    ("America/New_York", "2025-11-02 06:00Z", -60),
    ("America/New_York", "2025-03-09 07:00Z", 60),
    ("Europe/Berlin", "2024-10-27 01:00Z", -60),
    ("Australia/Lord_Howe", "2025-04-05 15:00Z", -30),
    ("Australia/Lord_Howe", "2024-10-05 15:30Z", 30),
    ("America/Havana", "2024-11-03 05:00Z", -60),  # at midnight: the date changes twice
    ("America/Sao_Paulo", "2018-11-04 03:00Z", 60),  # no midnight
    ("America/Sao_Paulo", "2018-02-18 02:00Z", -60),
]


@pytest.fixture
def cleanup(shared_server, db):
    made = Cleanup(shared_server, db)
    yield made
    made.close()


def fill(cleanup, kind, zone, retain="30 days", index=True):
    """A table `aged`: rows every 20 minutes and every day around the limit, and those that never go."""
    cleanup.sql(f"CREATE TABLE aged (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, age {kind.sql_type}, what text)")
    limit = f"now() - interval '{retain}' + interval '11 minutes'"
    for step, rows in (("20 minutes", 600), ("1 day", 60)):
        cleanup.sql(f"INSERT INTO aged (age, what) SELECT {kind.value(f'{limit} + n * interval {literal(step)}', literal(zone))}, 'step'"
                    f" FROM generate_series(-{rows}, {rows // 2 - 1}) n WHERE {limit} + n * interval '{step}' < now()")
    for special in kind.specials():
        cleanup.sql(f"INSERT INTO aged (age, what) VALUES ({special}, 'special')")
    if index:
        cleanup.sql("CREATE INDEX ON aged (age)")
    cleanup.sql("ANALYZE aged")


def ids(cleanup, test="true"):
    return {row.id for row in cleanup.rows(f"SELECT id FROM aged WHERE {test}")}


def sets(cleanup, kind, zone, cutoff, start=None):
    """The ids that must go and that may go."""
    cutoff, zone = f"{literal(str(cutoff))}::timestamptz", literal(zone)
    must, may = kind.must_go("age", cutoff, zone), kind.may_go("age", cutoff, zone)
    if start is not None:
        start = f"{literal(str(start))}::timestamptz"
        must += " AND " + kind.must_come("age", start, zone)
        may += " AND " + kind.may_come("age", start, zone)
    return ids(cleanup, must), ids(cleanup, may)


def check_run(cleanup, kind, zone, policy, **window):
    """A dry run, a run, and plain SQL agree; the ids that went."""
    everything = ids(cleanup)
    planned = cleanup.dry_run(policy, **window)
    cutoff = window.get("age_to") or planned.cutoff
    must, may = sets(cleanup, kind, zone, cutoff, window.get("age_from"))
    assert len(must) <= planned.eligible_rows <= len(may), (planned, len(must), len(may))
    done = cleanup.run(policy, **window)
    gone = everything - ids(cleanup)
    cutoff = window.get("age_to") or cleanup.targets(done.run_id)[0].cutoff
    assert (done.status, done.rows, done.row_bytes) == ("succeeded", planned.eligible_rows, planned.row_bytes), (planned, done)
    assert len(gone) == done.rows
    wrong = (must - gone) | (gone - may)
    assert not wrong, f"wrong of {kind.name} at {cutoff} in {zone}: {sorted(wrong)[:10]}"
    assert cleanup.dry_run(policy, **window).eligible_rows == 0
    return gone


@pytest.mark.parametrize("index", [True, False], ids=["index", "no_index"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_age_type(cleanup, kind, index):
    fill(cleanup, kind, "UTC", index=index)
    specials = ids(cleanup, "what = 'special'")
    cleanup.add_policy("aged", "aged", "age", "30 days", time_zone="UTC", **kind.policy_arguments)
    gone = check_run(cleanup, kind, "UTC", "aged")
    assert len(gone) > 300
    assert not gone & specials


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_oldest_and_newest(cleanup, kind):
    """The dry run's oldest and newest are those of the eligible rows, as times."""
    fill(cleanup, kind, "UTC")
    cleanup.add_policy("aged", "aged", "age", "30 days", time_zone="UTC", **kind.policy_arguments)
    planned = cleanup.dry_run("aged")
    may = kind.may_go("age", f"'{planned.cutoff}'::timestamptz")
    instants = cleanup.value("SELECT 1") and cleanup.row(
        f"SELECT min(n) AS oldest, max(n) AS newest FROM aged, LATERAL (SELECT CASE WHEN {may} THEN {as_time(kind)} END) x(n)")
    for ours, theirs in ((planned.oldest, instants.oldest), (planned.newest, instants.newest)):
        assert abs((ours - theirs).total_seconds()) < 0.002, (planned, instants)


def as_time(kind):
    if kind.name == "timestamptz":
        return "age"
    if kind.name in ("timestamp", "date"):
        return "age::timestamp AT TIME ZONE 'UTC'"
    number, _, scale = kind._number("age")  # pylint: disable=protected-access
    return f"to_timestamp(({number})::numeric / {scale})"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", [KINDS["date"], KINDS["timestamp"], KINDS["timestamptz"]], ids=["date", "timestamp", "timestamptz"])
def test_zone_of_the_policy(cleanup, kind, zone):
    """Naive ages are read in the policy's zone, whatever the session, the database or the owner has."""
    cleanup.sql(f"ALTER DATABASE {cleanup.dbname} SET TimeZone = 'Asia/Tokyo'")
    cleanup.sql("SET TimeZone = 'Pacific/Honolulu'")
    fill(cleanup, kind, zone, "3 days")
    cleanup.add_policy("aged", "aged", "age", "3 days", time_zone=zone)
    check_run(cleanup, kind, zone, "aged")


def test_zone_is_stored_when_the_policy_is_made(cleanup):
    cleanup.sql("SET TimeZone = 'Asia/Kolkata'")
    fill(cleanup, KINDS["timestamp"], "Asia/Kolkata", "2 days")
    cleanup.add_policy("aged", "aged", "age", "2 days")
    assert cleanup.value("SELECT time_zone FROM cleanup_policies") == "Asia/Kolkata"
    cleanup.sql("SET TimeZone = 'UTC'")
    check_run(cleanup, KINDS["timestamp"], "Asia/Kolkata", "aged")


@pytest.mark.parametrize("zone, jump, minutes", NIGHTS, ids=[f"{zone.split('/')[1]}-{jump[:10]}" for zone, jump, _ in NIGHTS])
@pytest.mark.parametrize("kind", [KINDS["timestamp"], KINDS["date"], KINDS["timestamptz"], KINDS["int8_ms"]],
                         ids=["timestamp", "date", "timestamptz", "int8_ms"])
def test_dst_night(cleanup, kind, zone, jump, minutes):
    """Limits before, within and after the jump of the clock; rows at each quarter of an hour that a clock showed, or skipped."""
    cleanup.sql(f"CREATE TABLE aged (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, age {kind.sql_type}, what text)")
    quarters = f"generate_series(timestamptz '{jump}' - interval '5 hours', timestamptz '{jump}' + interval '5 hours', '15 minutes') t"
    cleanup.sql(f"INSERT INTO aged (age) SELECT {kind.value('t', literal(zone))} FROM {quarters}")
    if kind.name == "timestamp":
        # Also those that the clock never showed.
        cleanup.sql(f"INSERT INTO aged (age) SELECT t FROM generate_series((timestamptz '{jump}' AT TIME ZONE '{zone}') - interval '2 hours',"
                    f" (timestamptz '{jump}' AT TIME ZONE '{zone}') + interval '2 hours', '15 minutes') t")
    if kind.name == "date":
        cleanup.sql(f"INSERT INTO aged (age) SELECT (timestamptz '{jump}' AT TIME ZONE '{zone}')::date + n FROM generate_series(-3, 3) n")
    cleanup.add_policy("aged", "aged", "age", "1 day", time_zone=zone, **kind.policy_arguments)
    around = sorted({-abs(minutes) * 2, -abs(minutes) - 1, -abs(minutes), -abs(minutes) // 2, -7, 0, 7, abs(minutes) // 2,
                     abs(minutes), abs(minutes) + 1, abs(minutes) * 2})
    for minute in around:
        limit = cleanup.value(f"SELECT (timestamptz '{jump}' + interval '{minute} minutes')::text")
        check_run(cleanup, kind, zone, "aged", age_to=limit)
    # The rest goes by the policy's own period.
    check_run(cleanup, kind, zone, "aged")
    assert ids(cleanup) == set()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_range_of_ages(cleanup, kind):
    """age_from is inclusive, age_to is not, and both only narrow."""
    fill(cleanup, kind, "UTC")
    cleanup.add_policy("aged", "aged", "age", "30 days", time_zone="UTC", **kind.policy_arguments)
    start, end = cleanup.rows("SELECT (now() - interval '33 days')::text AS a, (now() - interval '31 days')::text AS b")[0]
    check_run(cleanup, kind, "UTC", "aged", age_from=start, age_to=end)
    check_run(cleanup, kind, "UTC", "aged", age_from=start)
    # An age_to past the cutoff does not widen.
    before = ids(cleanup)
    cutoff = cleanup.dry_run("aged").cutoff
    done = cleanup.run("aged", age_to=cleanup.value("SELECT now() - interval '10 days'"))
    assert done.status == "succeeded"
    _, may = set(), ids(cleanup, kind.may_go("age", f"'{cutoff}'::timestamptz"))
    assert may == set() or kind.name == "date"
    assert all_gone_were_due(cleanup, kind, before, done)


def all_gone_were_due(cleanup, kind, before, done):
    """Nothing younger than 29 days went."""
    young = ids(cleanup, f"NOT {kind.may_go('age', 'now() - interval ' + literal('29 days'))}")
    return len(before) - done.rows == len(ids(cleanup)) and young <= ids(cleanup)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "UTC"])
@pytest.mark.parametrize("retain", ["1 hour", "1 day", "30 days", "1 mon", "6 mons", "1 year", "1 mon 3 days 04:00:00", "0"])
def test_cutoff_is_the_start_less_the_period(cleanup, zone, retain):
    """Days and months by the calendar of the policy's zone."""
    cleanup.sql("CREATE TABLE aged (id int, age timestamptz)")
    cleanup.add_policy("aged", "aged", "age", retain, time_zone=zone)
    cleanup.sql(f"SET TimeZone = '{zone}'")
    earliest = cleanup.value("SELECT clock_timestamp() - %s::interval", [retain])
    cutoff = cleanup.dry_run("aged").cutoff
    assert earliest <= cutoff <= cleanup.value("SELECT clock_timestamp() - %s::interval", [retain])
    done = cleanup.run("aged")
    cutoff = cleanup.targets(done.run_id)[0].cutoff
    assert earliest <= cutoff <= cleanup.value("SELECT clock_timestamp() - %s::interval", [retain])


def test_expiry_columns(cleanup):
    """retain => '0': a column that says when the row expires."""
    cleanup.sql("CREATE TABLE aged (id int GENERATED ALWAYS AS IDENTITY, age timestamptz)")
    cleanup.sql("INSERT INTO aged (age) SELECT now() + n * interval '1 minute' + interval '30 seconds' FROM generate_series(-10, 9) n")
    cleanup.add_policy("aged", "aged", "age", "0")
    done = cleanup.run("aged")
    assert done.rows == 10
    assert cleanup.value("SELECT bool_and(age > now()) AND count(*) = 10 FROM aged")


def test_units_read_too_fine_are_refused(cleanup):
    """Seconds read as milliseconds would make every row look old."""
    cleanup.sql("CREATE TABLE aged (id int, age bigint)")
    cleanup.sql("INSERT INTO aged SELECT n, extract(epoch FROM now())::bigint - n FROM generate_series(1, 100) n")
    try:
        cleanup.add_policy("aged", "aged", "age", "30 days", age_unit="ms")
        done = cleanup.run("aged")
        assert done.status == "failed"
        assert "1990" in done.message or "unit" in done.message
    except Exception as error:  # pylint: disable=broad-except
        assert "unit" in str(error), error
    assert len(ids(cleanup)) == 100
