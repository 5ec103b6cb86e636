-- Drop the table vision, and all its rows
-- lock: AccessExclusive on vision
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS vision;
