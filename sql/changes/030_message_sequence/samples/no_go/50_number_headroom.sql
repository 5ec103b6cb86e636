-- On top of go.sql: one message has almost the highest number that an integer can hold

UPDATE messages
SET sequence = 2147483640
WHERE id = (SELECT id FROM messages WHERE channel_id IS NOT NULL ORDER BY id LIMIT 1);
