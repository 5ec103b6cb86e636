-- Allow blank class codes again
-- lock: AccessExclusive on classes
-- estimate: 10 ms

ALTER TABLE classes DROP CONSTRAINT IF EXISTS class_code_not_blank;
