-- On top of go.sql: it stamps who it was, in a column that users alone have

CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    NEW.last_seen_at = now();
    RETURN NEW;
END
$$;
