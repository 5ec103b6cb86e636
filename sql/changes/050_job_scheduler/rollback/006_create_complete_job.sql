-- Drop the function that ends an execution well
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS complete_job(text, integer, jsonb);
