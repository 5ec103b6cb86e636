-- Sessions on which runners work in this database now and that are in the middle of something, or may well be
SELECT l.pid AS pid,
       a.application_name AS application_name
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a USING (pid)
 WHERE l.locktype = 'advisory'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = 7239847 AND l.objid = 3 AND l.objsubid = 2
   AND l.granted
   -- Of another role's session the state is hidden.
   AND a.state IS DISTINCT FROM 'idle'
 ORDER BY 1;
