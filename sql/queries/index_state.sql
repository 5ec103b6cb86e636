-- An index by name, of a table where one is given: whether it is valid, and whether a session works on it now
SELECT c.oid::regclass::text AS index,
       i.indrelid::regclass::text AS on_table,
       coalesce(i.indrelid = to_regclass(%(table)s), true) AS as_asked,
       i.indisvalid AS is_valid,
       coalesce((SELECT min(p.pid)
                   FROM pg_stat_progress_create_index AS p
                  WHERE p.index_relid = i.indexrelid),
                -- The progress of another role is hidden, the lock of its build is not. DROP INDEX CONCURRENTLY
                -- would wait for that lock and then drop an index that has become valid.
                (SELECT min(l.pid)
                   FROM pg_locks AS l
                  WHERE NOT i.indisvalid
                    AND l.granted
                    AND l.locktype = 'relation'
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND l.relation = i.indrelid
                    AND l.mode = 'ShareUpdateExclusiveLock'
                    AND l.pid <> pg_backend_pid())) AS built_by
  FROM pg_class AS c
  JOIN pg_index AS i ON i.indexrelid = c.oid
 -- The index of a table lives in its table's schema, wherever search_path finds others of that name first.
 WHERE c.oid = CASE WHEN %(table)s::text IS NULL THEN to_regclass(%(index)s)::oid
                    ELSE (SELECT o.oid
                            FROM pg_class AS t
                            JOIN pg_class AS o ON o.relnamespace = t.relnamespace
                           WHERE t.oid = to_regclass(%(table)s) AND o.relname = %(index)s) END
   AND c.relkind = 'i'
 ORDER BY 1;
