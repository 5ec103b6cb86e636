-- Drop the function that starts a job
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS start_job(text, text);
