-- Drop the table goal, and all its rows
-- lock: AccessExclusive on cycle; AccessExclusive on goal
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS goal;
