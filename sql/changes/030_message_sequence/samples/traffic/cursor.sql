-- A user who has read as far as the last message of a channel

UPDATE read_cursors
SET last_read_sequence = greatest(
        last_read_sequence,
        (SELECT max(sequence) FROM messages WHERE channel_id = md5('channel 20')::uuid)
    )
WHERE channel_id = md5('channel 20')::uuid
  AND user_id = (SELECT min(user_id::text)::uuid FROM read_cursors WHERE channel_id = md5('channel 20')::uuid);
