-- Transactions have been open for more than a minute
-- severity: warn
-- effect: a step waits for those that touched its tables, a concurrent index build for those with an old snapshot
-- remedy: let them end, or end them, before the window opens
SELECT pid AS pid,
       usename::text AS role,
       application_name AS application,
       state AS state,
       date_trunc('second', clock_timestamp() - xact_start)::text AS open_for,
       left(query, 100) AS last_query
  FROM pg_stat_activity
 WHERE datname = current_database()
   AND pid <> pg_backend_pid()
   AND xact_start < clock_timestamp() - interval '1 minute'
 ORDER BY xact_start, pid;
