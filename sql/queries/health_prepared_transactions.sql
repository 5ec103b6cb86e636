-- Prepared transactions are open in this database
-- severity: warn
-- effect: they hold locks that no session shows, and a concurrent index build waits for them
-- remedy: COMMIT PREPARED or ROLLBACK PREPARED each of them, as its owner decides
SELECT gid AS gid,
       owner::text AS owner,
       to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS prepared
  FROM pg_prepared_xacts
 WHERE database = current_database()
 ORDER BY prepared, gid;
