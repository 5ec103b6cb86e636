-- Guard the quotas of locked weeks no longer
-- lock: AccessExclusive on plan_item
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TRIGGER IF EXISTS guard_lock ON plan_item;
DROP FUNCTION IF EXISTS guard_plan_item();
