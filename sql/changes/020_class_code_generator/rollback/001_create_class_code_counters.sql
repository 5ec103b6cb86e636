-- Drop the counters
-- lock: AccessExclusive on class_code_counters
-- estimate: 10 ms

DROP TABLE IF EXISTS class_code_counters;
