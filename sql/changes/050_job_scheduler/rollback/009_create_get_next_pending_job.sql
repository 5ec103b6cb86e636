-- Drop the question for the next job
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS get_next_pending_job();
