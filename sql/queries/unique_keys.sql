-- The unique indexes and exclusion constraints of a table, each as expressions over its columns, and all that it reads
SELECT i.indexrelid::regclass::text AS name,
       ARRAY(WITH RECURSIVE read AS (
                 SELECT a.attnum
                   FROM pg_attribute AS a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
                  UNION
                 SELECT d.refobjsubid::smallint
                   FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
                    AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
                  UNION
                 SELECT d.refobjsubid::smallint
                   FROM read
                   JOIN pg_attrdef AS f ON f.adrelid = i.indrelid AND f.adnum = read.attnum
                   JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
             )
             SELECT a.attname::text
               FROM pg_attribute AS a
              WHERE a.attrelid = i.indrelid AND a.attnum > 0
                AND EXISTS (SELECT FROM read WHERE read.attnum IN (0, a.attnum))
              ORDER BY a.attnum) AS columns,
       ARRAY(SELECT concat(pg_get_indexdef(i.indexrelid, n, false),
                           ' COLLATE ' || nullif(i.indcollation[n - 1], 0)::regcollation)
               FROM generate_series(1, i.indnkeyatts) AS n
              ORDER BY n) AS parts,
       ARRAY(SELECT 'OPERATOR(' || o.oprnamespace::regnamespace::text || '.' || o.oprname || ')'
               FROM unnest(x.conexclop) WITH ORDINALITY AS k (operator, place)
               JOIN pg_operator AS o ON o.oid = k.operator
              ORDER BY k.place) AS excludes,
       coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
       i.indnullsnotdistinct AS nulls_not_distinct
  FROM pg_index AS i
  LEFT JOIN pg_constraint AS x ON x.conindid = i.indexrelid AND x.contype IN ('p', 'u', 'x')
 WHERE i.indrelid = %(oid)s AND (i.indisunique OR i.indisexclusion) AND i.indislive
 ORDER BY i.indisprimary DESC, name;
