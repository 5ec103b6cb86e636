-- Drop the unique index of conversations, finished or not
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 50 ms

DROP INDEX CONCURRENTLY IF EXISTS messages_conversation_seq_unique_idx;
