-- Drop the table chat_message, and all its rows
-- lock: AccessExclusive on chat_message; AccessExclusive on chat_session
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS chat_message;
