-- Sessions and prepared transactions that hold a lock which conflicts with one that a step wants
WITH wanted AS (
    SELECT to_regclass(w.relation) AS relation, w.mode
      FROM unnest(%(relations)s::text[], %(modes)s::text[]) AS w (relation, mode)
)
SELECT l.pid AS pid,
       coalesce(a.application_name, '') AS application_name,
       coalesce(a.usename::text, p.owner::text, '') AS user,
       coalesce(a.backend_type, 'prepared transaction ' || p.gid) AS backend,
       coalesce(a.state, 'prepared') AS state,
       l.relation::regclass::text AS relation,
       string_agg(DISTINCT l.mode, ', ' ORDER BY l.mode) AS holds,
       coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000, 0)::float8 AS age_ms,
       left(coalesce(a.query, ''), 200) AS query
  FROM pg_locks AS l
  JOIN wanted AS w ON w.relation = l.relation AND w.mode = l.mode
  LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
  LEFT JOIN pg_prepared_xacts AS p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction::text
 WHERE l.granted
   AND l.locktype = 'relation'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.pid IS DISTINCT FROM %(ours)s
   AND l.pid IS DISTINCT FROM pg_backend_pid()
 GROUP BY l.pid, a.application_name, a.usename, p.owner, a.backend_type, p.gid, a.state, l.relation,
          a.xact_start, p.prepared, a.query
 ORDER BY age_ms DESC, pid;
