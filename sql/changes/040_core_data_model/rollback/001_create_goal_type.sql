-- Drop the enumeration goal_type
-- lock: none
-- estimate: 10 ms

DROP TYPE IF EXISTS goal_type;
