-- On top of go.sql: 1,500 messages without a home; two reply to each other's thread, three in a ring,
-- one to itself, and two are replied to from a channel

INSERT INTO messages (id, author_id, sequence, content, created_at, updated_at)
SELECT
    md5('lost ' || i)::uuid,
    md5('user ' || i % 50)::uuid,
    1 + i % 3,
    'lost ' || i || ' <i>"quoted"</i>',
    timestamptz '2025-06-01 08:00+00' + i * interval '1 minute',
    timestamptz '2025-06-01 08:00+00' + i * interval '1 minute'
FROM generate_series(1, 1500) AS i;

UPDATE messages SET parent_id = md5('lost 1')::uuid WHERE id IN (md5('lost 2')::uuid, md5('lost 3')::uuid);
UPDATE messages SET parent_id = md5('lost 3')::uuid WHERE id = md5('lost 4')::uuid;
UPDATE messages SET parent_id = md5('lost ' || ring.parent)::uuid
FROM (VALUES (5, 6), (6, 7), (7, 5), (8, 8), (9, 5)) AS ring (child, parent)
WHERE id = md5('lost ' || ring.child)::uuid;

UPDATE messages
SET parent_id = md5('lost 1')::uuid
WHERE id IN (SELECT id FROM messages WHERE channel_id IS NOT NULL AND parent_id IS NULL ORDER BY id LIMIT 2);
