-- Sessions on which runners work in this database now
SELECT l.pid AS pid,
       a.usename::text AS user,
       a.application_name AS application_name,
       coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), 'a time that only its own role may see') AS since,
       EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.pid = l.pid) AS builds
  FROM pg_locks AS l
  LEFT JOIN pg_stat_activity AS a USING (pid)
 WHERE l.locktype = 'advisory'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = 7239847 AND l.objid = 3 AND l.objsubid = 2
   AND l.granted
 ORDER BY 1;
