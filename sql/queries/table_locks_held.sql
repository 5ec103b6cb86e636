-- Table locks that a session holds now
SELECT l.relation::bigint AS relation_id,
       n.nspname::text AS schema,
       l.relation::regclass::text AS relation,
       c.relkind::text AS kind,
       l.mode AS mode
  FROM pg_locks AS l
  JOIN pg_class AS c ON c.oid = l.relation
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE l.pid = %(pid)s
   AND l.granted
   AND l.locktype = 'relation'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgrunbook')
 ORDER BY relation, mode;
