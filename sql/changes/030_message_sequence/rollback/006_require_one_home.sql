-- Allow messages without a home again
-- lock: AccessExclusive on messages
-- estimate: 10 ms

ALTER TABLE messages DROP CONSTRAINT IF EXISTS messages_one_home;
