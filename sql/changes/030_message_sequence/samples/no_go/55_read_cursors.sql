-- On top of go.sql: nothing keeps a user from having two cursors in a channel, and one has; another is in two homes

ALTER TABLE read_cursors
    DROP CONSTRAINT read_cursors_channel_id_user_id_key,
    DROP CONSTRAINT read_cursors_conversation_id_user_id_key;

INSERT INTO read_cursors (user_id, channel_id, last_read_sequence)
SELECT user_id, channel_id, last_read_sequence - 1
FROM read_cursors
WHERE channel_id IS NOT NULL
ORDER BY channel_id, user_id
LIMIT 1;

UPDATE read_cursors
SET conversation_id = (SELECT id FROM conversations ORDER BY id LIMIT 1)
WHERE (user_id, channel_id) = (
    SELECT user_id, channel_id FROM read_cursors WHERE channel_id IS NOT NULL ORDER BY channel_id DESC, user_id LIMIT 1
);
