-- Drop the old index of channels, which the unique one replaces
-- transaction: none
-- lock: ShareUpdateExclusive on messages
-- estimate: 50 ms; and as long as the oldest transaction that uses messages; reads and writes go on

-- The specification keeps it beside the unique index on the same columns: every message would be written twice.
DROP INDEX CONCURRENTLY IF EXISTS messages_channel_seq_idx;
