-- Drop the table chat_message, and all its rows
-- lock: AccessExclusive on chat_message; AccessExclusive on chat_session
-- estimate: 10 ms

DROP TABLE IF EXISTS chat_message;
