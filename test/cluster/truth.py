"""Compares what is left of a scenario with the truth that was stored while loading it."""

from surface import quote

# How must_stay names a row of each table, as text, over the table's columns; "id" where nothing is said.
IDS = {"operation_step": "operation_id || '/' || n", ("agents", "session"): "session_id", "instruction": "instruction_id",
       "connection": "connection_id", "acknowledgement": "acknowledgement_id::text"}


def differences(cleanup, schema, tables=None, changed=None, truth=""):
    """What is wrong, as text lines: rows missing, left over, or changed; for all tables of must_stay or those given.

    changed(table, now, before): of a row that must_change lists, whether it has become what it must; without it, any change
    does. truth: "_SET" where the scenario has several."""
    if tables is None:
        tables = [row[0] for row in cleanup.rows(f"SELECT DISTINCT tbl FROM {schema}.must_stay{truth} ORDER BY 1")]
    wrong = []
    for table in tables:
        identity = IDS.get((schema, table)) or IDS.get(table, "id::text")
        found = cleanup.rows(
            f"""
            WITH present AS (SELECT {identity} AS id, to_jsonb(t) AS content FROM {schema}.{quote(table)} t),
            expected AS (SELECT id, content, EXISTS (SELECT FROM {schema}.must_change{truth} c WHERE c.tbl = m.tbl AND c.id = m.id)
                AS must_change FROM {schema}.must_stay{truth} m WHERE tbl = %s)
            SELECT coalesce(p.id, e.id) AS id, p.content AS now, e.content AS before, coalesce(must_change, false) AS must_change,
              CASE WHEN p.id IS NULL THEN 'missing' WHEN e.id IS NULL THEN 'left over' WHEN must_change THEN 'not changed as it must'
                ELSE 'changed' END AS what
            FROM present p FULL JOIN expected e ON p.id = e.id
            WHERE coalesce(must_change, false) OR p.content IS DISTINCT FROM e.content
            """, [table])
        bad = [row for row in found if not (row.must_change and row.now is not None and row.now != row.before
                                            and (changed is None or changed(table, row.now, row.before)))]
        for what in ("missing", "left over", "not changed as it must", "changed"):
            ids = [row.id for row in bad if row.what == what]
            if ids:
                wrong.append(f"{table}: {len(ids)} {what}, e.g. {ids[:5]}")
    return wrong


def fresh_enough(cleanup, schema):
    """The truth of a scenario holds for ten minutes after loading."""
    return cleanup.value(f"SELECT now() < at + interval '9 minutes' FROM {schema}.loaded_at")
