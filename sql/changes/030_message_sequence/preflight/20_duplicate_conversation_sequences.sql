-- Messages of one conversation with the same number
-- effect: Their order is left to chance, unread counts are wrong, and the unique index of step 005 cannot be built.
-- remedy: Let the remedy number these conversations anew, in the order of number, time and id.
-- before: 005

-- The specification does not ask this, and its second index then fails.
SELECT
    conversation_id AS conversation_id,
    sequence AS sequence,
    count(*) AS messages
FROM messages
WHERE conversation_id IS NOT NULL
GROUP BY conversation_id, sequence
HAVING count(*) > 1
ORDER BY messages DESC, conversation_id, sequence;
