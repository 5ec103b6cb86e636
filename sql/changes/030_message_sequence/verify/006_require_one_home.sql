-- A message without one home is refused
-- effect: A message that nobody sees, or that is in two lists with one number, could be stored.
-- remedy: Run migrate/006_require_one_home.sql again.

SELECT
    'constraint messages_one_home' AS setting,
    'CHECK num_nonnulls(channel_id, conversation_id) = 1' AS expected,
    coalesce(rule.definition, 'missing') AS found
FROM (SELECT to_regclass('messages') AS oid) AS t
LEFT JOIN LATERAL (
    SELECT regexp_replace(pg_get_constraintdef(c.oid), '^CHECK \(\((.*)\)\)( NOT VALID)?$', 'CHECK \1') AS definition
    FROM pg_constraint AS c
    WHERE c.conrelid = t.oid AND c.conname = 'messages_one_home'
) AS rule ON true
WHERE rule.definition IS DISTINCT FROM 'CHECK num_nonnulls(channel_id, conversation_id) = 1';
