-- Tell workers at once that there is something to do
-- lock: ShareRowExclusive on scheduled_jobs; ShareRowExclusive on scheduler_config
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- Fires when jobs are made, when one becomes due earlier or is tried again, and when the configuration changes; not
-- when one is started or completed, as a NOTIFY makes all commits of the database queue for a moment.
CREATE OR REPLACE FUNCTION wake_job_workers() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
BEGIN
    NOTIFY job_scheduler;
    RETURN NULL;
END
$body$;

COMMENT ON FUNCTION wake_job_workers() IS 'Sends NOTIFY job_scheduler, to which workers listen.';

CREATE OR REPLACE TRIGGER wake_job_workers
    AFTER INSERT ON scheduled_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION wake_job_workers();

CREATE OR REPLACE TRIGGER wake_job_workers_again
    AFTER UPDATE OF status, enabled, scheduled_for ON scheduled_jobs
    FOR EACH ROW
    WHEN (NEW.enabled AND NEW.status = 'pending')
    EXECUTE FUNCTION wake_job_workers();

CREATE OR REPLACE TRIGGER wake_job_workers
    AFTER UPDATE ON scheduler_config
    FOR EACH STATEMENT EXECUTE FUNCTION wake_job_workers();
