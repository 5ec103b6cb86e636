-- A report that keeps ACCESS SHARE on classes for about 150 ms

SELECT count(*) AS classes
FROM (SELECT class_id FROM classes ORDER BY class_id LIMIT 100) AS page
CROSS JOIN (SELECT pg_sleep(0.15)) AS pause;
