"""Compares what is left of a scenario with the truth that was stored while loading it."""

from surface import quote

# How must_stay names a row of each table: its id, as text, over the table's columns.
IDS = {"operation_step": "operation_id || '/' || n"}


def differences(cleanup, schema, tables=None):
    """What is wrong, as text lines: rows missing, left over, or changed; for all tables of must_stay or those given."""
    if tables is None:
        tables = [row[0] for row in cleanup.rows(f"SELECT DISTINCT tbl FROM {schema}.must_stay ORDER BY 1")]
    wrong = []
    for table in tables:
        identity = IDS.get(table, "id::text")
        found = cleanup.rows(
            f"""
            WITH present AS (SELECT {identity} AS id, to_jsonb(t) AS content FROM {schema}.{quote(table)} t),
            expected AS (SELECT id, content FROM {schema}.must_stay WHERE tbl = %s)
            SELECT coalesce(p.id, e.id) AS id,
              CASE WHEN p.id IS NULL THEN 'missing' WHEN e.id IS NULL THEN 'left over' ELSE 'changed' END AS what
            FROM present p FULL JOIN expected e ON p.id = e.id WHERE p.content IS DISTINCT FROM e.content
            """, [table])
        for what in ("missing", "left over", "changed"):
            ids = [row.id for row in found if row.what == what]
            if ids:
                wrong.append(f"{table}: {len(ids)} {what}, e.g. {ids[:5]}")
    return wrong


def fresh_enough(cleanup, schema):
    """The truth of a scenario holds for ten minutes after loading."""
    return cleanup.value(f"SELECT now() < at + interval '9 minutes' FROM {schema}.loaded_at")
