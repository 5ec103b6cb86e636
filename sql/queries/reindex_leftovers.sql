-- What an interrupted REINDEX CONCURRENTLY of an index, or of a table with its long values, left: invalid twins
SELECT l.oid::regclass::text AS index,
       li.indrelid::regclass::text AS on_table,
       true AS as_asked,
       false AS is_valid,
       (SELECT min(k.pid)
          FROM pg_locks AS k
         WHERE k.granted
           AND k.locktype = 'relation'
           AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND k.relation = li.indrelid
           AND k.mode = 'ShareUpdateExclusiveLock'
           AND k.pid <> pg_backend_pid()) AS built_by
  FROM pg_index AS li
  JOIN pg_class AS l ON l.oid = li.indexrelid
 CROSS JOIN LATERAL regexp_replace(l.relname, '_cc(new|old)[0-9]*$', '') AS stem
 WHERE NOT li.indisvalid
   AND l.relkind = 'i'
   AND l.relname ~ '_cc(new|old)[0-9]*$'
   AND EXISTS (SELECT
                 FROM pg_index AS i
                 JOIN pg_class AS c ON c.oid = i.indexrelid
                 JOIN pg_class AS t ON t.oid = i.indrelid
                WHERE i.indrelid = li.indrelid
                  AND i.indexrelid <> li.indexrelid
                  AND (i.indexrelid = to_regclass(%(index)s)
                       OR to_regclass(%(table)s) IN (t.oid, (SELECT o.oid FROM pg_class AS o WHERE o.reltoastrelid = t.oid)))
                  -- A long name is cut to make room for the ending.
                  AND starts_with(c.relname, stem)
                  AND (c.relname = stem OR octet_length(l.relname) > 59)
                  AND replace(pg_get_indexdef(l.oid), ' INDEX ' || quote_ident(l.relname) || ' ON ', ' ON ')
                      = replace(pg_get_indexdef(c.oid), ' INDEX ' || quote_ident(c.relname) || ' ON ', ' ON '))
 ORDER BY 1;
