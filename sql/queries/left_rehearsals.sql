-- Rehearsal databases that nobody uses and that are older than an hour
SELECT d.datname::text AS database
  FROM pg_database AS d
 WHERE starts_with(d.datname::text, %(prefix)s)
   AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datid = d.oid)
   AND (pg_stat_file('base/' || d.oid || '/PG_VERSION', true)).modification < clock_timestamp() - interval '1 hour'
 ORDER BY 1;
