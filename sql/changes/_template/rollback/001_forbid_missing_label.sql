-- Allow rows without a label again
-- lock: AccessExclusive on example

ALTER TABLE example DROP CONSTRAINT IF EXISTS example_label_present;
