-- On top of go.sql: one conversation message in twenty has the number of the one before it, at times two in a row
-- As two senders do who read the same highest number: whoever comes after them counts on from there.

CREATE TEMPORARY TABLE planted AS
SELECT
    id,
    conversation_id,
    sequence AS old,
    sequence - sum((place % 22 = 8 OR place % 220 = 9)::int) OVER (PARTITION BY conversation_id ORDER BY place) AS new,
    place % 44 = 8 AS at_once,
    earlier
FROM (
    SELECT
        id,
        conversation_id,
        sequence,
        row_number() OVER home AS place,
        lag(created_at) OVER home AS earlier
    FROM messages
    WHERE conversation_id IS NOT NULL
    WINDOW home AS (PARTITION BY conversation_id ORDER BY sequence)
) AS numbered;

ALTER TABLE planted ADD PRIMARY KEY (id);

-- Some were sent in the same moment, too.
UPDATE messages AS m
SET sequence = planted.new, created_at = CASE WHEN at_once THEN planted.earlier ELSE m.created_at END
FROM planted
WHERE planted.id = m.id AND (planted.new <> planted.old OR at_once);

UPDATE read_cursors AS c
SET last_read_sequence = planted.new
FROM planted
WHERE planted.conversation_id = c.conversation_id AND planted.old = c.last_read_sequence;

DROP TABLE planted;

ANALYZE messages;
