-- Guard the lock no longer
-- lock: AccessExclusive on cycle
-- estimate: 10 ms

DROP TRIGGER IF EXISTS guard_lock ON cycle;
DROP FUNCTION IF EXISTS guard_cycle();
