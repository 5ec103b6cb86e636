-- Fewer synchronous standbys are connected than every COMMIT waits for
-- effect: a step would hang at its COMMIT with all its locks held, and so does every other session that writes
-- remedy: bring the standbys back, or let an administrator change synchronous_standby_names
SELECT s.names AS synchronous_standby_names,
       s.needed AS needed,
       c.connected AS connected
  FROM (SELECT n.names, coalesce((regexp_match(n.names, '^\s*(?:first\s+|any\s+)?(\d+)\s*\(', 'i'))[1]::int, 1) AS needed
          FROM current_setting('synchronous_standby_names') AS n (names)) AS s
 CROSS JOIN (SELECT count(*) AS connected FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS c
 WHERE btrim(s.names) <> ''
   AND c.connected < s.needed
   AND current_setting('synchronous_commit') NOT IN ('off', 'local')
   AND current_setting('max_wal_senders')::int > 0
   -- To other roles the server does not tell which standby is synchronous.
   AND pg_has_role(current_user, 'pg_read_all_stats', 'USAGE');
