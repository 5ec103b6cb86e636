-- Allow blank class codes again
-- lock: AccessExclusive on classes

ALTER TABLE classes DROP CONSTRAINT IF EXISTS class_code_not_blank;
