-- A session, if it is still in a transaction that is as old as the one in which it was seen
SELECT a.pid AS pid
  FROM pg_stat_get_activity(%(pid)s::int) AS a
 WHERE extract(epoch FROM clock_timestamp() - a.xact_start) * 1000 >= %(age_ms)s::float8;
