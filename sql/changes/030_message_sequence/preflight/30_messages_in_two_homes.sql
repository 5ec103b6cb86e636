-- Messages that are in a channel and in a conversation
-- effect: One number would have to fit into both, and the guard of step 002 refuses more of them.
-- remedy: Ask the owner of the data where each belongs, and set the other id to NULL by hand.

SELECT
    id AS message_id,
    channel_id AS channel_id,
    conversation_id AS conversation_id,
    created_at::text AS created_at
FROM messages
WHERE channel_id IS NOT NULL AND conversation_id IS NOT NULL
ORDER BY id;
