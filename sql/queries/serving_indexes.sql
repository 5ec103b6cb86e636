-- The whole B-tree indexes of a table that begin with these columns in this order
SELECT i.indexrelid::regclass::text AS name
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_am AS m ON m.oid = c.relam
 WHERE i.indrelid = %(oid)s AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
   AND ARRAY(SELECT a.attname::text
               FROM unnest(i.indkey[0:cardinality(%(columns)s::text[]) - 1]) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              ORDER BY k.place) = %(columns)s::text[]
 ORDER BY name;
