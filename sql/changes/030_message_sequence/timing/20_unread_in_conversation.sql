-- Count what a user has not read of a conversation
-- expect: index messages_conversation_seq_unique_idx; median < 5 ms; rows 1

WITH cursor AS (
    SELECT conversation_id, last_read_sequence
    FROM read_cursors
    WHERE conversation_id IS NOT NULL
    ORDER BY conversation_id, user_id
    LIMIT 1
)
SELECT count(*) AS unread
FROM messages
WHERE conversation_id = (SELECT conversation_id FROM cursor)
  AND sequence > (SELECT last_read_sequence FROM cursor);
