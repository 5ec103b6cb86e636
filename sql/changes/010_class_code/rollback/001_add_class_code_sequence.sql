-- Drop the sequence
-- lock: none
-- estimate: 10 ms

-- Numbers of deleted classes are forgotten: a later 001 starts again after the highest code that still exists.
DROP SEQUENCE IF EXISTS class_code_seq;
