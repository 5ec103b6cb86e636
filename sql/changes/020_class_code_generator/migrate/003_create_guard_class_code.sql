-- Create the function that guards class codes
-- lock: none
-- estimate: 10 ms

-- A code that somebody made up must lift its counter before its row is there: the generator locks the counter first
-- and the code second too, so one of the two waits. The other way round they would deadlock.
-- It runs with its owner's rights, so that writers need no privilege on the counters, nor can they turn them back.
CREATE OR REPLACE FUNCTION guard_class_code()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    digits text;
    number bigint;
    beginning text;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.class_code IS NOT NULL THEN
        IF NEW.class_code IS DISTINCT FROM OLD.class_code THEN
            RAISE restrict_violation USING
                MESSAGE = format('class %s keeps its code %s: a class code never changes', OLD.class_id, to_json(OLD.class_code)),
                HINT = 'Leave class_code out of the UPDATE. To correct a code, the owner of the table disables the trigger class_code_guard.',
                COLUMN = 'class_code', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.class_code IS NULL OR NEW.class_code !~ '^[^-]+-[^-]+-[^-]+-[0-9]{1,18}$' THEN
        RETURN NEW;
    END IF;
    digits := split_part(NEW.class_code, '-', 4);
    number := digits::bigint;
    beginning := left(NEW.class_code, -length(digits));
    -- A code from next_class_code is never above its counter: one read, and no lock.
    PERFORM FROM class_code_counters AS c WHERE c.prefix = beginning AND c.last_number >= number;
    IF NOT FOUND THEN
        INSERT INTO class_code_counters AS c (prefix, last_number)
        VALUES (beginning, number)
        ON CONFLICT (prefix) DO UPDATE
        SET last_number = excluded.last_number
        WHERE c.last_number < excluded.last_number;
    END IF;
    RETURN NEW;
END
$$;

-- Only now can it see the counters. A path of its own, so that no table of a caller can stand in for them.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION guard_class_code() SET search_path = %I, pg_temp', current_schema());
END
$$;

-- Whoever may execute it could put it on a table of his own and lift any counter.
REVOKE ALL ON FUNCTION guard_class_code() FROM PUBLIC;

COMMENT ON FUNCTION guard_class_code() IS
    'Keeps class codes as they are, and lifts the counter of a code that did not come from next_class_code.';
