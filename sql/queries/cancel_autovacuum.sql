-- Asks an autovacuum worker to give way, as any lock request would after deadlock_timeout; not one against wraparound
SELECT pg_cancel_backend(pid) AS asked
  FROM pg_stat_activity
 WHERE pid = %(pid)s
   AND backend_type = 'autovacuum worker'
   AND query LIKE 'autovacuum: %%'
   AND query NOT LIKE '%%(to prevent wraparound)';
