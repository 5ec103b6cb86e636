-- The old index of conversations is gone
-- effect: Every message is written to two indexes on the same columns.
-- remedy: Run migrate/009_drop_conversation_index.sql again; an interrupted drop leaves the index invalid.

SELECT
    c.relname AS index_name,
    'gone' AS expected,
    CASE WHEN i.indisvalid THEN 'present' ELSE 'present, invalid' END AS found
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass('messages') AND c.relname = 'messages_conversation_seq_idx';
