-- On top of go.sql: two messages of a channel are in a conversation as well

UPDATE messages
SET conversation_id = (SELECT id FROM conversations ORDER BY id LIMIT 1)
WHERE channel_id IS NOT NULL AND id IN (SELECT id FROM messages WHERE channel_id IS NOT NULL ORDER BY id LIMIT 2);

-- Their numbers are repeated in neither.
UPDATE messages
SET sequence = 1000000 + (id < (SELECT max(id::text)::uuid FROM messages WHERE num_nonnulls(channel_id, conversation_id) = 2))::int
WHERE num_nonnulls(channel_id, conversation_id) = 2;
