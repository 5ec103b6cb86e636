-- Drop the constraint and the index it owns
-- lock: AccessExclusive on classes
-- estimate: 10 ms

ALTER TABLE classes DROP CONSTRAINT IF EXISTS class_code_unique;
