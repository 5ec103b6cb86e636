-- Read cursors beyond the last message
-- effect: None for this change: they stay as they are. The next messages there count as read, as they did before.
-- remedy: Nothing to do now; tell the owner of the application.
-- severity: warn

SELECT
    c.user_id AS user_id,
    coalesce(c.channel_id, c.conversation_id) AS home_id,
    c.last_read_sequence AS last_read_sequence,
    home.highest AS highest
FROM read_cursors AS c
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT max(m.sequence) FROM messages AS m WHERE m.channel_id = c.channel_id),
        (SELECT max(m.sequence) FROM messages AS m WHERE m.conversation_id = c.conversation_id),
        0
    ) AS highest
) AS home
WHERE c.last_read_sequence > home.highest
ORDER BY c.last_read_sequence - home.highest DESC, home_id, user_id;
