-- An index by name: whether it is valid, and whether a session is building it now
SELECT c.oid::regclass::text AS index,
       i.indisvalid AS is_valid,
       pg_get_indexdef(i.indexrelid) AS definition,
       (SELECT min(p.pid) FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid) AS built_by
  FROM pg_class AS c
  JOIN pg_index AS i ON i.indexrelid = c.oid
 WHERE c.oid = to_regclass(%(index)s)
 ORDER BY 1;
