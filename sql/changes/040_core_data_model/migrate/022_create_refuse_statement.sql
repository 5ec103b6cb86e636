-- Create the function that refuses a statement
-- lock: none
-- estimate: 10 ms

CREATE OR REPLACE FUNCTION refuse_statement() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[1]
        USING ERRCODE = TG_ARGV[0], TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END
$body$;

REVOKE EXECUTE ON FUNCTION refuse_statement() FROM PUBLIC;

COMMENT ON FUNCTION refuse_statement() IS
    'Refuses any statement, for everybody: arguments of the trigger are the SQLSTATE and the reason.';
