-- Drop the table weekly_plan, and all its rows
-- lock: AccessExclusive on cycle; AccessExclusive on weekly_plan
-- estimate: 10 ms

DROP TABLE IF EXISTS weekly_plan;
