-- On top of go.sql: a function of that name that is no trigger function

DROP FUNCTION update_updated_at_column() CASCADE;
CREATE FUNCTION update_updated_at_column() RETURNS timestamptz LANGUAGE sql RETURN now();
