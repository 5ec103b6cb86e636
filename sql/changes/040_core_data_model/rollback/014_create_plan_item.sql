-- Drop the table plan_item, and all its rows
-- lock: AccessExclusive on plan_item; AccessExclusive on task; AccessExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS plan_item;
