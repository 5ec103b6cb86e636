-- A user who reads the latest page of a channel for about 150 ms

SELECT page.id
FROM (SELECT pg_sleep(0.15)) AS pause
LEFT JOIN (
    SELECT id FROM messages WHERE channel_id = md5('quiet channel')::uuid ORDER BY sequence DESC LIMIT 50
) AS page ON true;
