-- Allow rows without a label again
-- lock: AccessExclusive on example
-- estimate: 10 ms

ALTER TABLE example DROP CONSTRAINT IF EXISTS example_label_present;
