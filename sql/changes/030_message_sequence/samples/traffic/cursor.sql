-- A user who has read as far as the last message of a channel

UPDATE read_cursors
SET last_read_sequence = (
        SELECT coalesce(max(sequence), 0) FROM messages WHERE channel_id = md5('quiet channel')::uuid
    )
WHERE channel_id = md5('quiet channel')::uuid AND user_id = md5('user 1')::uuid;
