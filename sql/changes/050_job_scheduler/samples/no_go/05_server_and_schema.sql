-- On top of go.sql: tables would be made among the server's own

SET search_path = pg_catalog, public;
