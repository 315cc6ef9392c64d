"""The scenarios with the files of examples/ imported as they are: what the tests of all of them have in common."""

import json
import pathlib

from truth import differences, fresh_enough

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLES = REPO / "examples"
SCENARIOS = REPO / "test" / "scenarios"


def load(cleanup, scenario):
    cleanup.server.psql(SCENARIOS / f"{scenario}.sql", dbname=cleanup.dbname)


def import_example(cleanup, name):
    """As a user would, in one statement; the names of its policies."""
    text = (EXAMPLES / f"{name}.json").read_text()
    cleanup.sql("SET TimeZone = 'America/New_York'")  # the policies' zone counts, not the session's
    assert cleanup.value("SELECT cleanup_import_policies(%s)", [text]) == len(json.loads(text))
    cleanup.sql("RESET TimeZone")  # the truth has its times as text
    return [policy["policy"] for policy in json.loads(text)]


def run_all(cleanup, status="succeeded"):
    done = cleanup.runs()
    assert {row.status for row in done} == {status}, done
    assert sum(row.skipped_rows for row in done) == 0, done
    return done


def contents(cleanup, schema):
    """A hash of each table of the scenario."""
    tables = [row.tbl for row in cleanup.rows("SELECT relname AS tbl FROM pg_class WHERE relnamespace = %s::regnamespace"
                                              " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1", [schema])]
    return {table: cleanup.value(f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {schema}.{table} t")
            for table in tables}


def check_truth_and_second_run(cleanup, schema, changed=None, **truth):
    """changed(row of must_change's content now, as it was): what is wrong, or None."""
    assert differences(cleanup, schema, changed=changed, **truth) == []
    before = contents(cleanup, schema)
    again = run_all(cleanup)
    assert [(row.rows, row.dependent_rows) for row in again] == [(0, 0)] * len(again), again
    assert contents(cleanup, schema) == before
    assert fresh_enough(cleanup, schema)
