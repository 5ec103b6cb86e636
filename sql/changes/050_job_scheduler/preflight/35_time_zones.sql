-- The server knows no time zones but UTC
-- effect: A job at 6:00 of a place can not be planned: its INSERT fails with 22023, and so does a zone in
--   scheduler_config. The default, UTC, works.
-- remedy: Install the system's tzdata and restart the server; or plan in UTC, and live with the hour that moves in summer.
-- severity: warn

SELECT
    'pg_timezone_names' AS setting,
    'zones such as Europe/Vienna' AS expected,
    count(*)::text AS found
FROM pg_timezone_names AS z
WHERE z.name LIKE '%/%' AND z.name NOT LIKE 'Etc/%'
HAVING count(*) = 0;
