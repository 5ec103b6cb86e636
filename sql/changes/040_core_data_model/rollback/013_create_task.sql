-- Drop the table task, and all its rows
-- lock: AccessExclusive on goal; AccessExclusive on task
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS task;
