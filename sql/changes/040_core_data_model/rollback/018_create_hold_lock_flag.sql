-- Drop the function that reads the lock of a cycle
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS hold_lock_flag(uuid, uuid);
