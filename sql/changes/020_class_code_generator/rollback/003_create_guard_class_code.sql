-- Drop the function that guards class codes
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS guard_class_code();
