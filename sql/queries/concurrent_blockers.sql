-- Sessions and prepared transactions that a statement outside a transaction would wait for: by lock, or by snapshot
WITH wanted AS (
    SELECT to_regclass(w.relation)::oid AS relation, w.mode
      FROM unnest(%(relations)s::text[], %(modes)s::text[]) AS w (relation, mode)
),
found AS (
    SELECT l.pid, l.virtualtransaction, l.relation::regclass::text AS relation,
           string_agg(DISTINCT l.mode, ', ' ORDER BY l.mode) AS holds
      FROM pg_locks AS l
      JOIN wanted AS w ON w.relation = l.relation AND w.mode = l.mode
     WHERE l.granted
       AND l.locktype = 'relation'
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     GROUP BY l.pid, l.virtualtransaction, l.relation
    UNION ALL
    -- WaitForOlderSnapshots(): every transaction of this database with a snapshot, whatever it reads. Not vacuums,
    -- not autovacuum, and not concurrent builds of indexes without expression and predicate. Walsenders have no
    -- transaction, prepared transactions no snapshot.
    SELECT a.pid, '', 'database ' || quote_ident(a.datname), 'a snapshot'
      FROM pg_stat_activity AS a
     WHERE %(snapshots)s
       AND a.datname = current_database()
       AND a.backend_xmin IS NOT NULL
       AND a.xact_start IS NOT NULL
       AND a.backend_type NOT IN ('autovacuum worker', 'parallel worker')
       AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS v WHERE v.pid = a.pid)
       AND NOT EXISTS (SELECT
                         FROM pg_stat_progress_create_index AS p
                         JOIN pg_index AS i ON i.indexrelid = p.index_relid
                        WHERE p.pid = a.pid
                          AND p.command LIKE '%% CONCURRENTLY'
                          AND i.indexprs IS NULL
                          AND i.indpred IS NULL)
)
SELECT f.pid AS pid,
       coalesce(a.application_name, '') AS application_name,
       coalesce(a.usename::text, p.owner::text, '') AS user,
       coalesce(a.backend_type, CASE WHEN p.gid IS NULL THEN 'session' ELSE 'prepared transaction ' || quote_literal(p.gid) END) AS backend,
       coalesce(a.state, CASE WHEN p.gid IS NULL THEN 'state hidden' ELSE 'prepared' END) AS state,
       f.relation AS relation,
       f.holds AS holds,
       -- Null where the server hides from our role when another role's transaction began.
       (extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::float8 AS age_ms,
       left(coalesce(a.query, ''), 200) AS query,
       f.virtualtransaction AS transaction,
       coalesce(a.backend_start::text, '') AS backend_start
  FROM found AS f
  LEFT JOIN pg_stat_activity AS a ON a.pid = f.pid
  -- A prepared transaction keeps the virtual number that it had in its session; only the real one names it.
  LEFT JOIN pg_locks AS x ON f.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
                         AND x.granted AND x.virtualtransaction = f.virtualtransaction
  LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid
 WHERE coalesce(f.pid <> %(ours)s, true)
   AND coalesce(f.pid <> pg_backend_pid(), true)
 ORDER BY age_ms DESC NULLS FIRST, pid, relation;
