-- On top of go.sql: one old index is packed, the other is missing

DROP INDEX messages_channel_seq_idx;
CREATE INDEX messages_channel_seq_idx ON messages (channel_id, sequence) WITH (fillfactor = 70);
DROP INDEX messages_conversation_seq_idx;
