-- Drop the table chat_session, and all its rows
-- lock: AccessExclusive on chat_session; AccessExclusive on cycle
-- estimate: 10 ms

DROP TABLE IF EXISTS chat_session;
