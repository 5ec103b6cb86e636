-- On top of go.sql: nobody has made lock_admin

-- Roles belong to the whole server, and other databases need this one: it is hidden from this session alone.
CREATE SCHEMA hiding;
CREATE VIEW hiding.pg_roles AS
    SELECT * FROM pg_catalog.pg_roles WHERE rolname <> 'lock_admin';
SET search_path = public, hiding, pg_catalog;
