-- A user who reads the latest page of a channel for about 150 ms

SELECT page.id
FROM (SELECT id FROM messages WHERE channel_id = md5('channel 20')::uuid ORDER BY sequence DESC LIMIT 50) AS page
CROSS JOIN (SELECT pg_sleep(0.15)) AS pause;
