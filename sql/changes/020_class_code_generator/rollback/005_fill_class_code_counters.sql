-- Empty the counters
-- lock: RowExclusive on class_code_counters
-- estimate: 10 ms

-- Numbers of deleted classes are forgotten: a later 005 starts again after the highest code that still exists.
DELETE FROM class_code_counters;
