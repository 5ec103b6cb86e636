-- The unique indexes of a table, each as expressions over its columns, to ask what would break them
SELECT i.indexrelid::regclass::text AS name,
       ARRAY(SELECT a.attname::text
               FROM pg_attribute AS a
              WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) AS columns,
       ARRAY(SELECT concat(pg_get_indexdef(i.indexrelid, n, false),
                           ' COLLATE ' || nullif(i.indcollation[n - 1], 0)::regcollation)
               FROM generate_series(1, i.indnkeyatts) AS n
              ORDER BY n) AS parts,
       i.indexprs IS NOT NULL AS has_expressions,
       coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
       i.indnullsnotdistinct AS nulls_not_distinct
  FROM pg_index AS i
 WHERE i.indrelid = %(oid)s AND i.indisunique AND i.indislive
 ORDER BY i.indisprimary DESC, name;
