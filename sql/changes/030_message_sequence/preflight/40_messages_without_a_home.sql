-- Messages that are in no channel and in no conversation
-- effect: Nobody sees them, both unique indexes let them pass, and step 007 cannot prove the rule against them.
-- remedy: Give them a home by hand, or let the remedy take them out of the table; it keeps them in quarantine.
-- before: 006

SELECT
    m.id AS message_id,
    m.author_id AS author_id,
    m.created_at::text AS created_at,
    (SELECT count(*) FROM messages AS r WHERE r.parent_id = m.id) AS replies
FROM messages AS m
WHERE m.channel_id IS NULL AND m.conversation_id IS NULL
ORDER BY m.id;
