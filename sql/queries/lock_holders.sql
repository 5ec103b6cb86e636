-- Sessions and prepared transactions that hold a lock which conflicts with one that a step wants
WITH RECURSIVE wanted AS (
    SELECT to_regclass(w.relation)::oid AS relation, w.mode
      FROM unnest(%(relations)s::text[], %(modes)s::text[]) AS w (relation, mode)
     UNION
    -- A lock on a table is taken on its partitions and children too.
    SELECT i.inhrelid, w.mode
      FROM wanted AS w
      JOIN pg_inherits AS i ON i.inhparent = w.relation
), held AS MATERIALIZED (
    -- Read once: while it is read, nobody can enter a new lock.
    SELECT l.pid, l.virtualtransaction, l.locktype, l.database, l.relation, l.transactionid, l.mode
      FROM pg_locks AS l
     WHERE l.granted
       AND l.locktype IN ('relation', 'transactionid')
), prepared AS MATERIALIZED (
    -- A prepared transaction keeps the virtual number that it had in its session; only the real one names it.
    SELECT h.virtualtransaction, p.gid, p.prepared, p.owner
      FROM pg_prepared_xacts AS p
      JOIN held AS h ON h.locktype = 'transactionid' AND h.transactionid = p.transaction AND h.pid IS NULL
)
SELECT l.pid AS pid,
       coalesce(a.application_name, '') AS application_name,
       coalesce(a.usename::text, p.owner::text, '') AS user,
       coalesce(a.backend_type, CASE WHEN p.gid IS NULL THEN 'session' ELSE 'prepared transaction ' || quote_literal(p.gid) END) AS backend,
       coalesce(a.state, CASE WHEN p.gid IS NULL THEN 'state hidden' ELSE 'prepared' END) AS state,
       l.relation::regclass::text AS relation,
       string_agg(DISTINCT l.mode, ', ' ORDER BY l.mode) AS holds,
       -- Null where the server hides from our role when another role's transaction began.
       (extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::float8 AS age_ms,
       left(coalesce(a.query, ''), 200) AS query,
       l.virtualtransaction AS transaction,
       coalesce(a.backend_start::text, '') AS backend_start
  FROM held AS l
  JOIN wanted AS w ON w.relation = l.relation AND w.mode = l.mode
  LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
  LEFT JOIN prepared AS p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
 WHERE l.locktype = 'relation'
   -- Activity is read after the locks: who has no transaction any more left in between. Null for both is hidden.
   AND (l.pid IS NULL OR a.xact_start IS NOT NULL OR (a.pid IS NOT NULL AND a.backend_start IS NULL))
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND coalesce(l.pid <> %(ours)s, true)
   AND coalesce(l.pid <> pg_backend_pid(), true)
 GROUP BY l.pid, l.virtualtransaction, a.application_name, a.usename, p.owner, a.backend_type, p.gid, a.state, l.relation,
          a.xact_start, a.backend_start, p.prepared, a.query
 ORDER BY age_ms DESC NULLS FIRST, pid, relation;
