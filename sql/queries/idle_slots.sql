-- Replication slots that nobody reads
SELECT slot_name::text AS slot,
       slot_type AS type,
       pg_size_pretty(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)) AS held_back
  FROM pg_replication_slots
 WHERE NOT active
   AND restart_lsn IS NOT NULL
 ORDER BY 1;
