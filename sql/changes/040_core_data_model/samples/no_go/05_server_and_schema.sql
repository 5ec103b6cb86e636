-- On top of go.sql: the application may not use the schema

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
