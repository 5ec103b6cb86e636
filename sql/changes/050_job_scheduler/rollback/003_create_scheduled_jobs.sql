-- Drop the table scheduled_jobs, and all its rows
-- lock: AccessExclusive on scheduled_jobs
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS scheduled_jobs;
