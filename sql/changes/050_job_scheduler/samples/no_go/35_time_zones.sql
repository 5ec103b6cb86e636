-- On top of go.sql: a server without tzdata

-- The files are the server's: they are hidden from this session alone.
CREATE SCHEMA hiding;
CREATE VIEW hiding.pg_timezone_names AS
    SELECT * FROM pg_catalog.pg_timezone_names WHERE name = 'UTC';
SET search_path = public, hiding, pg_catalog;
