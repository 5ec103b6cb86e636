-- Create the function that puts a prefix together
-- lock: none
-- estimate: 10 ms

-- The specification passed missing parts on (?? null) and made prefixes such as 11--; LIKE on them read _ and % as
-- patterns, and a dash inside a part made 15-A-B-C-0007 a code of 15-A-B-. Here a part is refused, or taken as it is.
CREATE OR REPLACE FUNCTION class_code_prefix(client text, type text, subject text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    good CONSTANT text := '^[^-[:space:][:cntrl:]]([^-[:cntrl:]]*[^-[:space:][:cntrl:]])?$';
    made CONSTANT text := client || '-' || type || '-' || subject || '-';
    name text;
    part text;
    wrong text;
BEGIN
    IF client ~ good AND type ~ good AND subject ~ good AND length(made) <= 46 THEN
        RETURN made;
    END IF;
    FOR name, part IN VALUES ('client', client), ('type', type), ('subject', subject) LOOP
        IF part IS NULL THEN
            RAISE null_value_not_allowed USING
                MESSAGE = format('no class code: the %s is missing', name),
                HINT = 'Give client, type and subject of the class.';
        END IF;
        wrong := CASE
            WHEN part ~ '[[:cntrl:]]' THEN 'holds a control character'
            WHEN part !~ '[^[:space:]]' THEN 'is blank'
            WHEN part ~ '^[[:space:]]|[[:space:]]$' THEN 'begins or ends with a blank'
            WHEN part ~ '-' THEN 'holds a dash, which parts the code'
        END;
        IF wrong IS NOT NULL THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('no class code: the %s %s %s', name, to_json(part), wrong),
                HINT = 'Correct it, or give the class no code yet.';
        END IF;
    END LOOP;
    RAISE invalid_parameter_value USING
        MESSAGE = format('no class code: %s has %s characters, and a prefix may have 46', to_json(made), length(made)),
        HINT = 'A class code has 50 characters, at least four of them for the number: shorten the subject or the type.';
END
$$;

COMMENT ON FUNCTION class_code_prefix(text, text, text) IS
    'The prefix of a class code, 11-REALLL-RLN-; refuses parts that are missing (22004) or cannot be told apart (22023).';
