-- One session as it is now, in the words of lock_holders; the transaction is empty where it has none
SELECT a.pid AS pid,
       coalesce(a.application_name, '') AS application_name,
       coalesce(a.usename::text, '') AS user,
       coalesce(a.backend_type, 'session') AS backend,
       coalesce(a.state, 'state hidden') AS state,
       'this database' AS relation,
       'a transaction' AS holds,
       coalesce((extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::float8, 0) AS age_ms,
       left(coalesce(a.query, ''), 200) AS query,
       coalesce((SELECT min(l.virtualtransaction) FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted), '') AS transaction,
       coalesce(a.backend_start::text, '') AS backend_start
  FROM pg_stat_activity AS a
 WHERE a.pid = %(pid)s;
