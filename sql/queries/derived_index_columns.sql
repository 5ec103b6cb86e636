-- The key columns of an index by its name, in the schema of its table
SELECT a.attname::text AS "column"
  FROM pg_class AS t
  JOIN pg_class AS c ON c.relnamespace = t.relnamespace AND c.relname = %(index)s
  JOIN pg_index AS i ON i.indexrelid = c.oid AND i.indrelid = t.oid
 CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.attnum
 WHERE t.oid = to_regclass(%(table)s)
   AND k.position <= i.indnkeyatts
 ORDER BY k.position;
