-- Guard the weeks no longer
-- lock: AccessExclusive on weekly_plan
-- estimate: 10 ms

DROP TRIGGER IF EXISTS guard_lock ON weekly_plan;
DROP FUNCTION IF EXISTS guard_weekly_plan();
