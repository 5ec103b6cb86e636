-- A report that keeps ACCESS SHARE on users for about 150 ms

SELECT count(*) AS users
FROM (SELECT id FROM users ORDER BY id LIMIT 100) AS page
CROSS JOIN (SELECT pg_sleep(0.15)) AS pause;
