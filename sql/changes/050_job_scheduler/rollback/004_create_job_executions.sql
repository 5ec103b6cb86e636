-- Drop the table job_executions, and all its rows
-- lock: AccessExclusive on job_executions; AccessExclusive on scheduled_jobs
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS job_executions;
