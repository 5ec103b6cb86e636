-- Create the generator
-- lock: none
-- estimate: 10 ms

-- The row lock on the counter lasts until the caller commits: the next session waits for that and gets the next
-- number, and a rollback gives the number back. The specification committed before its INSERT and let the lock go.
CREATE OR REPLACE FUNCTION next_class_code(client text, type text, subject text)
RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted CONSTANT text := class_code_prefix(client, type, subject);
    number bigint;
    code text;
BEGIN
    UPDATE class_code_counters AS c
    SET last_number = c.last_number + 1
    WHERE c.prefix = wanted
    RETURNING c.last_number INTO number;
    IF NOT FOUND THEN
        INSERT INTO class_code_counters AS c (prefix, last_number)
        VALUES (wanted, 1)
        ON CONFLICT (prefix) DO UPDATE SET last_number = c.last_number + 1
        RETURNING c.last_number INTO number;
    END IF;
    code := wanted || lpad(number::text, greatest(4, length(number::text)), '0');
    IF length(code) > 50 THEN
        RAISE string_data_right_truncation USING
            MESSAGE = format('no class code: %s has %s characters, and a class code may have 50', to_json(code), length(code)),
            HINT = 'The numbers of this prefix are used up: shorten the subject or the type.';
    END IF;
    RETURN code;
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION next_class_code(text, text, text) SET search_path = %I, pg_temp', current_schema());
END
$$;

REVOKE ALL ON FUNCTION next_class_code(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION next_class_code(text, text, text) IS
    'The next class code of a client, type and subject. Call it in the transaction that inserts the class.';
