-- Drop the table scheduled_jobs, and all its rows
-- lock: AccessExclusive on scheduled_jobs; AccessExclusive on users
-- estimate: 10 ms

DROP TABLE IF EXISTS scheduled_jobs;
