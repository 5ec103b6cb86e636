-- The columns that own a sequence or take their DEFAULT from it
SELECT DISTINCT f.adrelid::regclass::text AS "table",
       a.attname::text AS "column"
  FROM pg_depend AS d
 CROSS JOIN LATERAL (
     SELECT o.adrelid, o.adnum
       FROM pg_attrdef AS o
      WHERE d.classid = 'pg_attrdef'::regclass AND o.oid = d.objid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%(sequence)s)
      UNION ALL
     SELECT d.refobjid, d.refobjsubid
      WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(%(sequence)s)
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0) AS f
  JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
 ORDER BY 1, 2;
