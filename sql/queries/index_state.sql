-- An index by name: whether it is valid, and whether a session is building it now
SELECT c.oid::regclass::text AS index,
       i.indisvalid AS is_valid,
       pg_get_indexdef(i.indexrelid) AS definition,
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
 WHERE c.oid = to_regclass(%(index)s)
   AND c.relkind = 'i'
 ORDER BY 1;
