-- Connected standbys, and how far each is behind
SELECT coalesce(nullif(r.application_name, ''), r.usename::text, '') AS standby,
       coalesce(host(r.client_addr), 'local socket') AS address,
       coalesce(r.state, 'state hidden') AS state,
       coalesce(r.sync_state, '') AS sync,
       round(extract(epoch FROM r.write_lag)::numeric, 3)::float8 AS write_lag_s,
       round(extract(epoch FROM r.flush_lag)::numeric, 3)::float8 AS flush_lag_s,
       round(extract(epoch FROM r.replay_lag)::numeric, 3)::float8 AS replay_lag_s,
       pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint AS bytes_behind
  FROM pg_stat_replication AS r
  JOIN pg_stat_activity AS a ON a.pid = r.pid
 -- A subscription has a database; a base backup and an archive of WAL replay nothing.
 WHERE a.datname IS NULL
   AND NOT pg_is_in_recovery()
   AND r.state IS DISTINCT FROM 'backup'
   AND (r.state IS DISTINCT FROM 'streaming' OR r.replay_lsn IS NOT NULL)
 ORDER BY 1, 2;
