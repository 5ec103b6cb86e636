-- Which cluster a session is on, and which branch of its history
-- After a promotion pg_control_checkpoint() shows the old timeline until the next checkpoint has ended.
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END AS timeline;
