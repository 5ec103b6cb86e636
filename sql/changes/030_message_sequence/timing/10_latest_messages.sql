-- Show the latest page of a channel
-- expect: index messages_channel_seq_unique_idx; median < 1 ms; rows 50

-- The planner does not see the value, as in a generic plan: the partial index serves it all the same.
SELECT
    id AS id,
    author_id AS author_id,
    sequence AS sequence,
    content AS content
FROM messages
WHERE channel_id = (SELECT channel_id FROM messages WHERE channel_id IS NOT NULL ORDER BY channel_id, sequence LIMIT 1)
ORDER BY sequence DESC
LIMIT 50;
