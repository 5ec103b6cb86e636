-- On top of go.sql: another scheduler has been here

CREATE TABLE scheduled_jobs (id integer PRIMARY KEY, name text, run_at timestamptz);
CREATE INDEX idx_job_executions_output ON scheduled_jobs (run_at);

-- OR REPLACE would fail with 42P13, and a call with one argument would fit this one as well as ours.
CREATE FUNCTION get_next_pending_job() RETURNS integer LANGUAGE sql RETURN 1;
CREATE FUNCTION start_job(job_id text) RETURNS void LANGUAGE sql AS 'SELECT';
