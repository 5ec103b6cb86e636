-- Drop the unique index of channels, finished or not
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 50 ms

DROP INDEX CONCURRENTLY IF EXISTS messages_channel_seq_unique_idx;
