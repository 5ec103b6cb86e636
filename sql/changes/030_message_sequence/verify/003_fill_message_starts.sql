-- New messages are numbered, and after every message that is there
-- effect: A sender would get a number that another message of the channel or conversation has.
-- remedy: Find out who writes numbers of his own; rollback/003_fill_message_starts.sql and 003 again count anew.

WITH highest AS (
    SELECT channel_id AS home_id, max(sequence) AS number
    FROM messages
    WHERE channel_id IS NOT NULL
    GROUP BY channel_id
    UNION ALL
    SELECT conversation_id, max(sequence)
    FROM messages
    WHERE conversation_id IS NOT NULL
    GROUP BY conversation_id
)
SELECT
    'all homes' AS home_id,
    'the row for homes to come in message_starts' AS expected,
    'missing' AS found
WHERE NOT EXISTS (
    SELECT FROM message_starts AS s WHERE s.home_id = '7d1f0a4e-93b6-4c58-8e21-d05c6fa4b7e3' AND s.start = 0
)
UNION ALL
SELECT
    highest.home_id::text,
    'a next number above ' || highest.number,
    (coalesce(s.start, 0) + coalesce(c.counted, 0) + 1)::text
FROM highest
LEFT JOIN message_starts AS s ON s.home_id = highest.home_id
LEFT JOIN message_counters AS c ON c.home_id = highest.home_id
WHERE highest.number > coalesce(s.start, 0) + coalesce(c.counted, 0)
ORDER BY home_id;
