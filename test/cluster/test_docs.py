"""docs/ against what is installed: every object has its place there, and what is said there is so."""

import re

import pytest

from pgserver import REPO

REFERENCE = REPO / "docs" / "reference"
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", *sorted((REPO / "docs").rglob("*.md"))]
MEMBERS = """
    SELECT d.classid::regclass::text AS catalog, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_cleanup'"""


@pytest.fixture(scope="module")
def reference():
    return "\n".join(page.read_text() for page in sorted(REFERENCE.glob("*.md")))


def names(server, db, query):
    return [row[0] for row in server.sql(f"WITH member AS ({MEMBERS}) {query}", dbname=db)]


def missing(words, text):
    return [word for word in words if not re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", text)]


def test_functions(shared_server, db, reference):
    found = names(shared_server, db, "SELECT DISTINCT proname FROM pg_proc JOIN member ON objid = oid AND catalog = 'pg_proc'")
    assert len(found) > 10
    assert missing(found, reference) == []


def test_tables_and_views(shared_server, db, reference):
    found = names(shared_server, db, "SELECT relname FROM pg_class JOIN member ON objid = oid AND catalog = 'pg_class'"
                                     " WHERE relkind IN ('r', 'v', 'p')")
    assert "cleanup_runs" in found and "cleanup_progress" in found
    assert missing(found, reference) == []


def test_columns(shared_server, db, reference):
    """Of tables, views and results; composite results are documented by their columns."""
    found = names(shared_server, db, """
        SELECT DISTINCT attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE attnum > 0 AND relkind IN ('r', 'v', 'c') AND (
          c.oid IN (SELECT objid FROM member WHERE catalog = 'pg_class')
          OR c.reltype IN (SELECT objid FROM member WHERE catalog = 'pg_type'))""")
    assert "overdue" in found and "waiting_for" in found
    assert missing(found, reference) == []


def test_arguments(shared_server, db, reference):
    found = names(shared_server, db, "SELECT DISTINCT unnest(proargnames) FROM pg_proc"
                                     " JOIN member ON objid = oid AND catalog = 'pg_proc'")
    assert missing(found, reference) == []


def test_settings(shared_server, db):
    """Each has its row, with the default and the unit that it has."""
    text = (REFERENCE / "settings.md").read_text()
    rows = shared_server.sql("SELECT cleanup_check(); SELECT name, boot_val, unit, context FROM pg_settings"
                             " WHERE name LIKE 'pg\\_cleanup.%'", dbname=db)
    assert len(rows) >= 6
    documented = dict(re.findall(r"^\| `(pg_cleanup\.\w+)` \| ([^|]*) \|", text, re.M))
    assert sorted(documented) == sorted(row[0] for row in rows)
    for name, boot_value, unit, context in rows:
        line = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        default, documented_unit = [cell.strip() for cell in line.split("|")[2:4]]
        days = re.fullmatch(r"(\d+) days", default)
        assert boot_value == (str(int(days[1]) * 24 * 60) if days else default), name
        assert documented_unit in ([unit] if unit else ["rows", "runs", ""]), name
        assert ("superuser" if context == "superuser" else "reload") in line, name


def test_checks(shared_server, db, reference):
    found = [row[0] for row in shared_server.sql("SELECT DISTINCT check_name FROM cleanup_check()", dbname=db)]
    assert len(found) > 8
    assert missing(found, reference) == []


def test_events_of_the_audit(reference):
    """As the sources name them."""
    sources = "\n".join(path.read_text() for path in (REPO / "src" / "extension").glob("*.cc"))
    events = set(re.findall(r'\.event = (?:is_update \? )?"(\w+)"', sources)) | set(re.findall(r'\.event = .*: "(\w+)"', sources))
    assert {"pause", "run", "policy_dropped", "history_pruned"} <= events
    assert missing(events, reference) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links(page):
    """Links lead to files and headings that are there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target
