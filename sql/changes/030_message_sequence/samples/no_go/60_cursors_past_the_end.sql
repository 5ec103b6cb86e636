-- On top of go.sql: three users have read more than was written

UPDATE read_cursors
SET last_read_sequence = last_read_sequence + 1000000
WHERE (user_id, channel_id) IN (
    SELECT user_id, channel_id FROM read_cursors WHERE channel_id IS NOT NULL ORDER BY channel_id, user_id LIMIT 3
);
