-- Take messages without a home out of the table
-- effect: They are kept in quarantine, whole. A message that replies to one of them stays, as a reply to none.

-- No list shows them, so that nobody misses them; the business may decide otherwise afterwards and undo it.
-- Replies among them go first. Where every one that is left has a reply among them, they reply to each other in rings,
-- and a ring goes as a whole.
WITH RECURSIVE size AS (
    SELECT coalesce(nullif(current_setting('pgrunbook.batch', true), '')::int, 1000) AS rows
), ends AS MATERIALIZED (
    SELECT m.id
    FROM messages AS m
    WHERE m.channel_id IS NULL
      AND m.conversation_id IS NULL
      AND NOT EXISTS (
          SELECT
          FROM messages AS r
          WHERE r.parent_id = m.id AND r.channel_id IS NULL AND r.conversation_id IS NULL AND r.id <> m.id
      )
    ORDER BY m.id
    LIMIT (SELECT rows FROM size)
), rings AS (
    SELECT first.id, first.parent_id
    FROM (
        SELECT id, parent_id
        FROM messages
        WHERE channel_id IS NULL AND conversation_id IS NULL AND NOT EXISTS (SELECT FROM ends)
        ORDER BY id
        LIMIT (SELECT rows FROM size)
    ) AS first
    UNION
    SELECT m.id, m.parent_id
    FROM rings
    JOIN messages AS m ON m.id = rings.parent_id
    WHERE m.channel_id IS NULL AND m.conversation_id IS NULL
), chosen AS MATERIALIZED (
    -- As an array, which the planner takes for short: it looks the rows up, and never reads the table for them.
    SELECT array_agg(id) AS ids FROM (SELECT id FROM ends UNION ALL SELECT id FROM rings) AS batch
), released AS (
    UPDATE messages AS r
    SET parent_id = NULL
    FROM chosen
    CROSS JOIN LATERAL unnest(chosen.ids) AS orphan (id)
    WHERE r.parent_id = orphan.id AND num_nonnulls(r.channel_id, r.conversation_id) > 0
    RETURNING r.id, orphan.id AS old
), gone AS (
    DELETE FROM messages AS m
    USING chosen
    CROSS JOIN LATERAL unnest(chosen.ids) AS orphan (id)
    WHERE m.id = orphan.id AND m.channel_id IS NULL AND m.conversation_id IS NULL
    RETURNING m.*
)
SELECT
    'messages' AS table_name,
    jsonb_build_object('id', id) AS key,
    to_jsonb(gone.*) AS before,
    NULL::jsonb AS after
FROM gone
UNION ALL
SELECT
    'messages' AS table_name,
    jsonb_build_object('id', id) AS key,
    jsonb_build_object('parent_id', old) AS before,
    jsonb_build_object('parent_id', NULL::uuid) AS after
FROM released;
