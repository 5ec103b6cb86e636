-- Drop the sequence
-- lock: none

-- Numbers of deleted classes are forgotten: a later 001 starts again after the highest code that still exists.
DROP SEQUENCE IF EXISTS class_code_seq;
