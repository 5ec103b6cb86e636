-- Cancels the statement of a session, or ends it, if it still is the session and the transaction that was shown
SELECT CASE WHEN %(statement_only)s THEN pg_cancel_backend(a.pid) ELSE pg_terminate_backend(a.pid) END AS asked
  FROM pg_stat_activity AS a
 WHERE a.pid = %(pid)s
   AND (%(backend_start)s = '' OR a.backend_start::text = %(backend_start)s)
   AND (%(transaction)s = '' OR EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.virtualtransaction = %(transaction)s));
