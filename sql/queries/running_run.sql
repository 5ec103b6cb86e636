-- The run that holds the runner lock of this database: it is open, whatever it has recorded already
SELECT l.pid AS pid,
       r.run_id AS run_id,
       r.change AS change,
       r.operator AS operator
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a ON a.pid = l.pid
  JOIN pgrunbook.run AS r ON a.application_name = left('pgrunbook control ' || r.run_id, 63)
 WHERE l.locktype = 'advisory'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = 7239847 AND l.objid = 1 AND l.objsubid = 2
   AND l.granted;
