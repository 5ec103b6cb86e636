-- Build the unique index of conversations beside live traffic
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 12 reads of messages + 50 ms; two reads and a sort, and as long as the oldest open writer
--   or snapshot; reads and writes go on

CREATE UNIQUE INDEX CONCURRENTLY messages_conversation_seq_unique_idx ON messages (conversation_id, sequence)
    WHERE conversation_id IS NOT NULL;
