-- Guard the lock no longer
-- lock: AccessExclusive on cycle
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TRIGGER IF EXISTS guard_lock ON cycle;
DROP FUNCTION IF EXISTS guard_cycle();
