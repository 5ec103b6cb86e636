-- Drop the table weekly_plan, and all its rows
-- lock: AccessExclusive on cycle; AccessExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS weekly_plan;
