-- Guard the weeks no longer
-- lock: AccessExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TRIGGER IF EXISTS guard_new_week ON weekly_plan;
DROP TRIGGER IF EXISTS guard_lock ON weekly_plan;
DROP FUNCTION IF EXISTS guard_weekly_plan();
