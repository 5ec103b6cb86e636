-- Build the old index of conversations again
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 12 reads of messages + 50 ms

CREATE INDEX CONCURRENTLY messages_conversation_seq_idx ON messages (conversation_id, sequence);
