-- Who waits for a lock in this database now, for how long, behind whom
SELECT l.pid AS pid,
       coalesce(nullif(a.application_name, ''), a.usename::text, a.backend_type, '') AS who,
       l.mode AS wants,
       coalesce(l.relation::regclass::text, l.locktype) AS relation,
       -- waitstart is null for a moment after the wait began.
       coalesce((extract(epoch FROM clock_timestamp() - l.waitstart) * 1000)::float8, 0) AS waited_ms,
       pg_blocking_pids(l.pid) AS blockers
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a ON a.pid = l.pid
 WHERE a.datname = current_database()
   AND NOT l.granted
 ORDER BY l.pid;
