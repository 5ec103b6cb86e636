-- Refuse messages without a home, or with two, from now on
-- lock: AccessExclusive on messages
-- estimate: 10 ms; whatever the size, no row is read

-- NULLs are distinct in a unique index, so that a message with both ids NULL escapes both of the
-- specification's. One statement, so that it can be run again.
ALTER TABLE messages
    DROP CONSTRAINT IF EXISTS messages_one_home,
    ADD CONSTRAINT messages_one_home CHECK (num_nonnulls(channel_id, conversation_id) = 1) NOT VALID;
