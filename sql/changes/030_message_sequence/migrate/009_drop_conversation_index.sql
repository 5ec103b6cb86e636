-- Drop the old index of conversations, which the unique one replaces
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 50 ms; and as long as the oldest transaction that uses messages; reads and writes go on

DROP INDEX CONCURRENTLY IF EXISTS messages_conversation_seq_idx;
