-- Create the function that keeps the times of a row
-- lock: none
-- estimate: 10 ms

CREATE OR REPLACE FUNCTION touch_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    NEW.created_at := OLD.created_at;
    NEW.updated_at := now();
    RETURN NEW;
END
$body$;

COMMENT ON FUNCTION touch_row() IS 'Sets updated_at on every update, and lets nobody rewrite created_at.';
