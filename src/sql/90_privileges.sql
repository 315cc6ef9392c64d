-- Nothing is granted to PUBLIC: tables and sequences are not by default; functions and types are.
DO $$
DECLARE
  object record;
BEGIN
  FOR object IN
    SELECT d.classid, d.objid
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
       AND d.refobjid OPERATOR(pg_catalog.=) e.oid
     WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cleanup' AND d.deptype OPERATOR(pg_catalog.=) 'e'
       -- Array types and the row types of tables, which are members from 17 on, follow what they are made of.
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_depend part
          WHERE part.classid OPERATOR(pg_catalog.=) d.classid AND part.objid OPERATOR(pg_catalog.=) d.objid
            AND part.deptype OPERATOR(pg_catalog.=) 'i')
  LOOP
    IF object.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass THEN
      EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', object.objid::pg_catalog.regprocedure);
    ELSIF object.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass THEN
      EXECUTE pg_catalog.format('REVOKE ALL ON TYPE %s FROM PUBLIC', object.objid::pg_catalog.regtype);
    END IF;
  END LOOP;
END $$;
