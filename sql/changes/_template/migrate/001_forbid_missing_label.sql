-- Refuse rows without a label from now on
-- lock: AccessExclusive on example
-- estimate: 10 ms; whatever the size, no row is read

ALTER TABLE example
    DROP CONSTRAINT IF EXISTS example_label_present,
    ADD CONSTRAINT example_label_present CHECK (label IS NOT NULL) NOT VALID;
