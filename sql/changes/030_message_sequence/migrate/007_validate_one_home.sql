-- Prove that every message has one home
-- lock: ShareUpdateExclusive on messages
-- estimate: 2 reads of messages + 10 ms; reads and writes go on

ALTER TABLE messages VALIDATE CONSTRAINT messages_one_home;
