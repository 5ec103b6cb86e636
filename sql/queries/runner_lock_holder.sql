-- The session that holds the runner lock of this database
SELECT a.pid AS pid,
       a.usename::text AS user,
       a.application_name AS application_name,
       coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), 'a time that only its own role may see') AS since
  FROM pg_locks AS l
  LEFT JOIN pg_stat_activity AS a USING (pid)
 WHERE l.locktype = 'advisory'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = 7239847 AND l.objid = 1 AND l.objsubid = 2
   AND l.granted;
