-- Read cursors that stand for more than one place
-- effect: Remedies 10 and 20 find a cursor by its user and its home. Where one user has several there they refuse.
--   One that is in a channel and in a conversation follows the one that is repaired last.
-- remedy: Ask the owner of the data which one is right, and delete the others by hand.
-- severity: warn

SELECT
    user_id AS user_id,
    home_id AS home_id,
    count(*) AS cursors,
    'of one user in one home' AS found
FROM read_cursors
CROSS JOIN LATERAL (VALUES (channel_id), (conversation_id)) AS home (home_id)
WHERE home_id IS NOT NULL
GROUP BY user_id, home_id
HAVING count(*) > 1
UNION ALL
SELECT
    user_id,
    channel_id,
    1,
    'also in conversation ' || conversation_id
FROM read_cursors
WHERE channel_id IS NOT NULL AND conversation_id IS NOT NULL
ORDER BY home_id, user_id;
