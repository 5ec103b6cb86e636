-- Channels or conversations that run out of numbers
-- effect: The column ends at 2147483647; the first message after that is refused (22003).
-- remedy: Find out who wrote such a number and correct it by hand, or make sequence a bigint first.

-- What repeated numbers need on top is less than a million in any home.
SELECT
    coalesce(channel_id, conversation_id) AS home_id,
    max(sequence) AS highest,
    2147483647 - max(sequence) AS left_over
FROM messages
WHERE sequence > 2147483647 - 1000000
GROUP BY coalesce(channel_id, conversation_id)
ORDER BY highest DESC, home_id;
