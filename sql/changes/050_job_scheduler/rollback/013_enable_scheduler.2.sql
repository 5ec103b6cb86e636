-- Wait up to 5 s for jobs that run, and name those that still do
-- lock: AccessShare on job_executions
-- estimate: 5 s

-- Each look has a snapshot of its own, so that the wait ends with the last job. What still runs then is named, and will
-- find no function to end with.
DO $wait$
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + interval '5 seconds';
    running record;
BEGIN
    IF to_regclass('job_executions') IS NULL THEN
        RETURN;
    END IF;
    WHILE clock_timestamp() < deadline AND EXISTS (SELECT FROM job_executions AS e WHERE e.status = 'running') LOOP
        PERFORM pg_sleep(0.1);
    END LOOP;
    FOR running IN
        SELECT e.job_id, e.id, e.worker, e.started_at, e.lease_until < clock_timestamp() AS lost
        FROM job_executions AS e
        WHERE e.status = 'running'
        ORDER BY e.started_at, e.id
    LOOP
        RAISE WARNING '%', format(
            'job %s still runs: execution %s, worker %s, since %s%s',
            running.job_id, running.id, running.worker, running.started_at, CASE WHEN running.lost THEN '; its lease has ended' END
        );
    END LOOP;
END
$wait$;
