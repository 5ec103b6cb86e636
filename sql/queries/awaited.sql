-- Whom a session waits for: sessions, or the prepared transaction that a lock on a transaction's number names
SELECT w.locktype AS waits_on,
       w.relation::regclass::text AS relation,
       nullif(b.pid, 0) AS pid,
       coalesce(nullif(a.application_name, ''), a.usename::text, a.backend_type,
                'prepared transaction ' || quote_literal(p.gid), '') AS who,
       to_char(coalesce(a.xact_start, p.prepared) AT TIME ZONE 'UTC', 'HH24:MI:SS "UTC"') AS since,
       (extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)))::float8 AS age_s,
       coalesce(a.state, CASE WHEN p.gid IS NULL THEN '' ELSE 'prepared' END) AS state,
       left(coalesce(a.query, ''), 200) AS query
  FROM pg_locks AS w
 CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
  LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid
  LEFT JOIN pg_prepared_xacts AS p ON b.pid = 0 AND p.transaction = w.transactionid
 WHERE w.pid = %(ours)s
   AND NOT w.granted
   -- This very query holds a snapshot, which a build may wait for until it ends.
   AND b.pid <> pg_backend_pid()
 ORDER BY age_s DESC NULLS LAST, b.pid;
