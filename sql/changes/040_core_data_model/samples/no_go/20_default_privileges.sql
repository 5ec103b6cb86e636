-- On top of go.sql: whatever is made here is open to the application, as Supabase has it

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO app_user;
