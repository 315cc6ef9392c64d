"""Everything that the catalogs say about pg_cleanup in one database, as lines of text that can be compared.

Left out is only what cannot be the same in two databases or after an update: OIDs, and the version itself. The order of
columns counts among those that are there: a column that an update adds is the last one in the install script, too.
"""

# Objects of the extension, and what belongs to its tables.
OBJECTS = """
CREATE TEMP TABLE object AS
WITH RECURSIVE object AS (
  SELECT d.classid, d.objid, 0 AS objsubid, 'member' AS kind
  FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
  WHERE e.extname = 'pg_cleanup' AND d.deptype = 'e'
  UNION
  SELECT d.classid, d.objid, d.objsubid, 'part'
  FROM pg_depend d JOIN object o ON d.refclassid = o.classid AND d.refobjid = o.objid
  WHERE d.deptype IN ('a', 'i')
)
SELECT classid, objid, kind FROM object WHERE objsubid = 0 AND NOT EXISTS (
  SELECT FROM pg_class c WHERE classid = 'pg_class'::regclass AND objid = c.oid AND c.relnamespace = 'pg_toast'::regnamespace)
"""

ACL = "(SELECT string_agg(item::text, ',' ORDER BY item::text) FROM unnest({}) item)"

# Each query yields one line an object. Identities carry names; constraints and triggers name their tables.
QUERIES = {
    "object": """
        SELECT DISTINCT i.type, i.identity, min(kind) OVER (PARTITION BY classid, objid),
          obj_description(objid, classid::regclass::text)
        FROM object, pg_identify_object(classid, objid, 0) i
        WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE classid = 'pg_trigger'::regclass AND objid = t.oid AND t.tgisinternal)""",
    "function": f"""
        SELECT p.oid::regprocedure, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), l.lanname, p.prokind,
          p.provolatile, p.proparallel, p.proisstrict, p.prosecdef, p.proleakproof, p.procost, p.prorows,
          p.proconfig, p.probin, p.prosrc, pg_get_function_sqlbody(p.oid), p.proowner::regrole, {ACL.format("p.proacl")}
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        JOIN object ON classid = 'pg_proc'::regclass AND objid = p.oid""",
    "relation": f"""
        SELECT c.oid::regclass, c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity, c.relforcerowsecurity,
          c.relreplident, a.amname, c.relowner::regrole, {ACL.format("c.relacl")}
        FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam
        JOIN object ON classid = 'pg_class'::regclass AND objid = c.oid""",
    "column": f"""
        SELECT a.attrelid::regclass, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), a.attname,
          format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
          a.attcollation::regcollation,
          (SELECT array_agg(o) FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg\\_attver=%%'), pg_get_expr(d.adbin, d.adrelid), {ACL.format("a.attacl")},
          col_description(a.attrelid, a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'c', 'S') AND (
          EXISTS (SELECT FROM object WHERE classid = 'pg_class'::regclass AND objid = a.attrelid)
          OR EXISTS (SELECT FROM object WHERE classid = 'pg_type'::regclass AND objid = c.reltype))""",
    "sequence": """
        SELECT s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle
        FROM pg_sequence s JOIN object ON classid = 'pg_class'::regclass AND objid = s.seqrelid""",
    "constraint": """
        SELECT t.conrelid::regclass, t.conname, t.contype, pg_get_constraintdef(t.oid), t.convalidated
        FROM pg_constraint t JOIN object ON classid = 'pg_class'::regclass AND objid = t.conrelid""",
    "index": """
        SELECT i.indrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisvalid, i.indisclustered
        FROM pg_index i JOIN object ON classid = 'pg_class'::regclass AND objid = i.indrelid""",
    "trigger": """
        SELECT pg_get_triggerdef(t.oid), t.tgenabled
        FROM pg_trigger t JOIN object ON classid = 'pg_class'::regclass AND objid = t.tgrelid WHERE NOT t.tgisinternal""",
    "rule": """
        SELECT r.ev_class::regclass, pg_get_ruledef(r.oid), r.ev_enabled
        FROM pg_rewrite r JOIN object ON classid = 'pg_class'::regclass AND objid = r.ev_class""",
    "row security policy": """
        SELECT p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[],
          pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        FROM pg_policy p JOIN object ON classid = 'pg_class'::regclass AND objid = p.polrelid""",
    "type": f"""
        SELECT t.oid::regtype, t.typtype, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typispreferred,
          t.typdelim, t.typinput, t.typoutput, t.typreceive, t.typsend, t.typelem::regtype, t.typbasetype::regtype,
          t.typnotnull, t.typdefault, t.typcollation::regcollation, t.typowner::regrole, {ACL.format("t.typacl")},
          (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
        FROM pg_type t JOIN object ON classid = 'pg_type'::regclass AND objid = t.oid""",
    "cast": """
        SELECT c.castsource::regtype, c.casttarget::regtype, c.castfunc::regprocedure, c.castcontext, c.castmethod
        FROM pg_cast c JOIN object ON classid = 'pg_cast'::regclass AND objid = c.oid""",
    # What pg_dump takes for granted: a dump has only what was granted or revoked since.
    "initial privilege": f"""
        SELECT i.type, i.identity, objsubid, privtype, {ACL.format("initprivs")}
        FROM pg_init_privs p, pg_identify_object(p.classoid, p.objoid, p.objsubid) i
        WHERE EXISTS (SELECT FROM object o WHERE o.classid = p.classoid AND o.objid = p.objoid)""",
    "dumped": """
        SELECT relation::regclass, condition FROM pg_extension, unnest(extconfig, extcondition) dumped(relation, condition)
        WHERE extname = 'pg_cleanup'""",
    "extension": """
        SELECT extname, extowner::regrole, extnamespace::regnamespace, extrelocatable FROM pg_extension
        WHERE extname = 'pg_cleanup'""",
}


def describe(cleanup):
    """The catalogs of this database, sorted; the same for two that have the same extension in the same schema."""
    cleanup.sql(OBJECTS)
    try:
        return sorted(f"{kind}: {row[0]}" for kind, query in QUERIES.items()
                      for row in cleanup.rows(f"SELECT ROW(q.*)::text FROM ({query}) q"))
    finally:
        cleanup.sql("DROP TABLE pg_temp.object")


def differences(updated, fresh):
    """What an update lacks, and what it has too much; empty when both are the same."""
    return {"lacking": sorted(set(fresh) - set(updated)), "too much": sorted(set(updated) - set(fresh))}


SAME = {"lacking": [], "too much": []}
