-- Refuse blank class codes from now on
-- lock: AccessExclusive on classes
-- estimate: 10 ms; whatever the size, no row is read

-- The specification let '' repeat through a partial index, which cannot become a constraint (see 002):
-- "no code" is NULL from here on, and '' is refused. One statement, so that it can be run again.
ALTER TABLE classes
    DROP CONSTRAINT IF EXISTS class_code_not_blank,
    ADD CONSTRAINT class_code_not_blank CHECK (class_code <> '') NOT VALID;
