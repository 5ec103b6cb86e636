-- A vacuum against wraparound runs on a table of the change
-- severity: warn
-- effect: it does not give way, and the steps have to wait until it ends
-- remedy: let it finish; the tables are listed with the worker's pid
SELECT a.pid AS pid,
       l.relation::regclass::text AS on_table,
       date_trunc('second', clock_timestamp() - a.xact_start)::text AS running_for
  FROM unnest(%(tables)s::text[]) AS t (name)
  JOIN pg_locks AS l ON l.relation = to_regclass(t.name) AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
  JOIN pg_stat_activity AS a USING (pid)
 WHERE a.backend_type = 'autovacuum worker'
   AND a.query LIKE '%%(to prevent wraparound)'
 ORDER BY 1;
