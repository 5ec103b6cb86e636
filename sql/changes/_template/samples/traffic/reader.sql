-- A report that keeps ACCESS SHARE on example for about 150 ms

SELECT count(*) AS rows_read
FROM (SELECT id FROM example ORDER BY id LIMIT 100) AS page
CROSS JOIN (SELECT pg_sleep(0.15)) AS pause;
