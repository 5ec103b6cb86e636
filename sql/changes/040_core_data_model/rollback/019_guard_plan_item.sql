-- Guard the quotas of locked weeks no longer
-- lock: AccessExclusive on plan_item
-- estimate: 10 ms

DROP TRIGGER IF EXISTS guard_lock ON plan_item;
DROP FUNCTION IF EXISTS guard_plan_item();
