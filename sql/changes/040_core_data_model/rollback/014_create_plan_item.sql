-- Drop the table plan_item, and all its rows
-- lock: AccessExclusive on plan_item; AccessExclusive on task; AccessExclusive on weekly_plan
-- estimate: 10 ms

DROP TABLE IF EXISTS plan_item;
