-- Drop the enumeration goal_status
-- lock: none
-- estimate: 10 ms

DROP TYPE IF EXISTS goal_status;
