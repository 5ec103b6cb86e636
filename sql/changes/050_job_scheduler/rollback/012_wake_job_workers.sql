-- Tell workers no longer
-- lock: AccessExclusive on scheduled_jobs; AccessExclusive on scheduler_config
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TRIGGER IF EXISTS wake_job_workers ON scheduled_jobs;
DROP TRIGGER IF EXISTS wake_job_workers_again ON scheduled_jobs;
DROP TRIGGER IF EXISTS wake_job_workers ON scheduler_config;
DROP FUNCTION IF EXISTS wake_job_workers();
