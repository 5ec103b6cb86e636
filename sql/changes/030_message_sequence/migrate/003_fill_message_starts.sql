-- Number new messages from here on, after all that are there
-- lock: AccessShare on messages; AccessShare on message_counters; RowExclusive on message_starts
-- estimate: 12 reads of messages + 50 ms; senders go on

-- One snapshot sees the messages and their count. A home begins after the last number that its messages will
-- have when repeated numbers are taken apart, gaps kept: as many as there are, and the largest lead of a number
-- over its place. So the repair never needs a number that a new message has.
-- Whoever counts while this runs is counted all the same, and follows. The last row is for homes to come:
-- made up by chance, because an id of zeros is one that a home may have.
INSERT INTO message_starts (home_id, start)
WITH placed AS (
    SELECT
        channel_id AS home_id,
        sequence,
        row_number() OVER (PARTITION BY channel_id ORDER BY sequence) AS place
    FROM messages
    WHERE channel_id IS NOT NULL
    UNION ALL
    SELECT
        conversation_id,
        sequence,
        row_number() OVER (PARTITION BY conversation_id ORDER BY sequence)
    FROM messages
    WHERE conversation_id IS NOT NULL
), ends AS (
    SELECT home_id, max(place) + max(sequence - place) AS last_number
    FROM placed
    GROUP BY home_id
)
SELECT ends.home_id, ends.last_number - coalesce(c.counted, 0)
FROM ends
LEFT JOIN message_counters AS c ON c.home_id = ends.home_id
UNION ALL
SELECT '7d1f0a4e-93b6-4c58-8e21-d05c6fa4b7e3', 0
ON CONFLICT (home_id) DO NOTHING;
