-- Who waits for a lock in this database now, for how long, behind whom
SELECT a.pid AS pid,
       a.application_name AS application_name,
       coalesce(l.mode, a.wait_event) AS wants,
       coalesce(l.relation::regclass::text, '') AS relation,
       (extract(epoch FROM clock_timestamp() - coalesce(l.waitstart, a.query_start)) * 1000)::float8 AS waited_ms,
       pg_blocking_pids(a.pid) AS blockers
  FROM pg_stat_activity AS a
  LEFT JOIN pg_locks AS l ON l.pid = a.pid AND NOT l.granted
 WHERE a.datname = current_database()
   AND a.wait_event_type = 'Lock'
 ORDER BY a.pid;
