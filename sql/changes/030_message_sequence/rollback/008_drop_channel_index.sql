-- Build the old index of channels again
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 12 reads of messages + 50 ms

CREATE INDEX CONCURRENTLY messages_channel_seq_idx ON messages (channel_id, sequence);
