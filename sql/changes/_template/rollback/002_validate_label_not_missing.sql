-- Take the proof back: the rule stays, for new rows only
-- lock: AccessExclusive on example
-- estimate: 10 ms

ALTER TABLE example
    DROP CONSTRAINT IF EXISTS example_label_present,
    ADD CONSTRAINT example_label_present CHECK (label IS NOT NULL) NOT VALID;
