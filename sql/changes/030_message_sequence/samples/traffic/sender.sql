-- A sender of the old kind, who makes up the next number himself

INSERT INTO messages (channel_id, author_id, sequence, content)
SELECT md5('quiet channel')::uuid, md5('user 1')::uuid, coalesce(max(sequence), 0) + 1, 'sent by rehearsal traffic'
FROM messages
WHERE channel_id = md5('quiet channel')::uuid;
