-- Create the sequence that numbers class codes
-- lock: AccessShare on classes
-- estimate: 24 reads of classes + 10 ms; a pattern is tried on every code; nobody waits

-- Serves DB-01 and DB-04.
CREATE SEQUENCE IF NOT EXISTS class_code_seq
    AS bigint
    INCREMENT BY 1
    START WITH 1001
    MINVALUE 1
    NO MAXVALUE
    CACHE 1
    NO CYCLE;

-- Dropping the column drops the sequence; TRUNCATE ... RESTART IDENTITY resets it.
ALTER SEQUENCE class_code_seq OWNED BY classes.class_code;

COMMENT ON SEQUENCE class_code_seq IS
    'Sequential number generator for class codes. Format: [PREFIX][NNNN]. '
    'Used by ClassCodeService. Lifecycle bound to classes.class_code column.';

-- The specification always started at 1001 and reset with setval(1000), which issues existing numbers again;
-- here the sequence moves past every code of the shape ABC1234, and never backwards.
-- Its REGEXP_REPLACE(...)::INTEGER read 12-REALLL-RLN-2025-06-25-02-14 as one number and failed with 22003.
-- ALTER SEQUENCE above holds off nextval() until the end of the transaction: no number slips in between.
SELECT setval(
        'class_code_seq',
        greatest(1000, sequence.last_value - (NOT sequence.is_called)::int, codes.highest)
    ) AS last_number_taken
FROM class_code_seq AS sequence
CROSS JOIN (
    SELECT max(substring(class_code FROM '^[A-Z]{3}([0-9]{4,15})$')::bigint) AS highest
    FROM classes
) AS codes;
