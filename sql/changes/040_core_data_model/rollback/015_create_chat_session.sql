-- Drop the table chat_session, and all its rows
-- lock: AccessExclusive on chat_session; AccessExclusive on cycle
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS chat_session;
