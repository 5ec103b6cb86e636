-- Messages of one channel with the same number
-- effect: Their order is left to chance, unread counts are wrong, and the unique index of step 004 cannot be built.
-- remedy: Let the remedy number these channels anew, in the order of number, time and id.
-- before: 004

-- The specification asks only for channels; 20_duplicate_conversation_sequences asks for conversations.
SELECT
    channel_id AS channel_id,
    sequence AS sequence,
    count(*) AS messages
FROM messages
WHERE channel_id IS NOT NULL
GROUP BY channel_id, sequence
HAVING count(*) > 1
ORDER BY messages DESC, channel_id, sequence;
