-- Create the generator of blocks
-- lock: none
-- estimate: 10 ms

-- The specification handed out blocks through Redis; one UPDATE that adds more than 1 does the same.
-- Codes of a block that are not used are gaps.
CREATE OR REPLACE FUNCTION next_class_codes(client text, type text, subject text, how_many integer)
RETURNS SETOF text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted CONSTANT text := class_code_prefix(client, type, subject);
    number bigint;
BEGIN
    IF how_many IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'no class codes: how many is missing',
            HINT = 'Ask for 1 to 100000 codes.';
    ELSIF how_many NOT BETWEEN 1 AND 100000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('no class codes: %s is not a number of codes from 1 to 100000', how_many),
            HINT = 'Ask for 1 to 100000 codes.';
    END IF;
    UPDATE class_code_counters AS c
    SET last_number = c.last_number + how_many
    WHERE c.prefix = wanted
    RETURNING c.last_number INTO number;
    IF NOT FOUND THEN
        INSERT INTO class_code_counters AS c (prefix, last_number)
        VALUES (wanted, how_many)
        ON CONFLICT (prefix) DO UPDATE SET last_number = c.last_number + excluded.last_number
        RETURNING c.last_number INTO number;
    END IF;
    IF length(wanted) + greatest(4, length(number::text)) > 50 THEN
        RAISE string_data_right_truncation USING
            MESSAGE = format('no class codes: %s with the number %s has more than 50 characters', to_json(wanted), number),
            HINT = 'The numbers of this prefix are used up: shorten the subject or the type.';
    END IF;
    RETURN QUERY
    SELECT wanted || lpad(n::text, greatest(4, length(n::text)), '0')
    FROM generate_series(number - how_many + 1, number) AS n;
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION next_class_codes(text, text, text, integer) SET search_path = %I, pg_temp', current_schema());
END
$$;

REVOKE ALL ON FUNCTION next_class_codes(text, text, text, integer) FROM PUBLIC;

COMMENT ON FUNCTION next_class_codes(text, text, text, integer) IS
    'A block of class codes, for one update of the counter. Codes of it that are not used are gaps.';
