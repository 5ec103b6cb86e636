-- Drop the counters
-- lock: AccessExclusive on message_counters; AccessExclusive on message_starts
-- estimate: 10 ms

DROP TABLE IF EXISTS message_starts, message_counters;
