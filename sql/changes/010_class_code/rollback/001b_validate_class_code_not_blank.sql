-- Take the proof back: the rule stays, for new rows only
-- lock: AccessExclusive on classes
-- estimate: 10 ms

-- There is no un-validate; dropping and adding in one statement leaves no moment without the rule.
ALTER TABLE classes
    DROP CONSTRAINT IF EXISTS class_code_not_blank,
    ADD CONSTRAINT class_code_not_blank CHECK (class_code <> '') NOT VALID;
