-- Drop the function that ends an execution badly
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS fail_job(text, integer, text);
