-- The old indexes are not the ones a rollback would build
-- effect: The remedies are slow without them, and rolling back steps 008 and 009 builds plain ones.
-- remedy: Note the definitions shown here, and adapt rollback/008 and 009 if they matter.
-- severity: warn

WITH wanted (name, replacement, first_column) AS (
    VALUES
        ('messages_channel_seq_idx', 'messages_channel_seq_unique_idx', 'channel_id'),
        ('messages_conversation_seq_idx', 'messages_conversation_seq_unique_idx', 'conversation_id')
), old AS (
    SELECT
        wanted.*,
        pg_get_indexdef(i.indexrelid) AS definition,
        format(
            'CREATE INDEX %s ON %s USING btree (%s, sequence)',
            wanted.name, (SELECT i.indrelid::regclass::text FROM pg_class AS t WHERE t.oid = i.indrelid), wanted.first_column
        ) AS plain,
        i.indisvalid
    FROM wanted
    LEFT JOIN (pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid)
        ON i.indrelid = to_regclass('messages') AND c.relname = wanted.name
)
SELECT
    name AS index_name,
    CASE
        WHEN definition IS NULL THEN 'missing'
        WHEN NOT indisvalid THEN 'invalid'
        ELSE 'of another kind'
    END AS found,
    definition AS definition
FROM old
WHERE (definition IS NULL OR NOT indisvalid OR replace(definition, 'public.', '') <> plain)
  -- gone on purpose once the unique one is there
  AND NOT (
      definition IS NULL
      AND EXISTS (
          SELECT
          FROM pg_index AS i
          JOIN pg_class AS c ON c.oid = i.indexrelid
          WHERE i.indrelid = to_regclass('messages') AND c.relname = replacement AND i.indisvalid
      )
  )
ORDER BY name;
