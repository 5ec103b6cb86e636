-- Create the function that starts a job
-- lock: none
-- estimate: 10 ms

-- Of all who start a job at once one gets a number, the others NULL. A slot that another session is about to take is
-- waited for by ON CONFLICT, for as long as that session takes to commit.
CREATE OR REPLACE FUNCTION start_job(p_job_id text, p_trigger_type text DEFAULT 'scheduled')
RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
DECLARE
    began_at CONSTANT timestamptz := clock_timestamp();
    job record;
    execution integer;
BEGIN
    IF p_trigger_type IS NULL OR p_trigger_type NOT IN ('scheduled', 'manual', 'retry', 'dependent') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('no trigger type: %s', coalesce(p_trigger_type, 'NULL')),
            HINT = 'There are scheduled, manual, retry and dependent.';
    END IF;
    SELECT
        CASE WHEN j.status IN ('completed', 'failed') THEN 0 ELSE j.error_count END AS errors,
        j.scheduled_for,
        j.triggered_by,
        c.max_concurrent_jobs AS cap,
        c.lease_seconds
    INTO job
    FROM scheduled_jobs AS j
    JOIN scheduler_config AS c ON c.id = 1 AND c.enabled
    WHERE j.id = p_job_id
        AND j.status <> 'running'
        AND (
            p_trigger_type = 'manual'
            OR (
                j.enabled
                AND j.scheduled_for <= began_at
                AND (j.status = 'pending' OR j.frequency_type <> 'once')
            )
        )
    FOR NO KEY UPDATE OF j SKIP LOCKED;
    IF NOT FOUND THEN
        -- NULL is what get_next_pending_job() says when there is nothing to do.
        IF p_job_id IS NOT NULL AND NOT EXISTS (SELECT FROM scheduled_jobs AS j WHERE j.id = p_job_id) THEN
            RAISE no_data_found USING MESSAGE = format('there is no job %s', p_job_id);
        END IF;
        RETURN NULL;
    END IF;
    LOOP
        -- Slots beyond the cap are still taken where it was lowered: as many below it stay empty.
        INSERT INTO job_executions AS e (job_id, parent_job_id, trigger_type, slot, worker, attempt_number, started_at, lease_until)
        SELECT
            p_job_id,
            (SELECT parent.id FROM scheduled_jobs AS parent WHERE parent.id = job.triggered_by),
            CASE
                WHEN p_trigger_type <> 'scheduled' THEN p_trigger_type
                WHEN job.errors > 0 THEN 'retry'
                WHEN job.triggered_by IS NOT NULL THEN 'dependent'
                ELSE 'scheduled'
            END,
            free.slot,
            current_setting('application_name') || ' pid ' || pg_backend_pid(),
            job.errors + 1,
            began_at,
            began_at + make_interval(secs => job.lease_seconds)
        FROM generate_series(
            1,
            job.cap - (SELECT count(*) FROM job_executions AS r WHERE r.status = 'running' AND r.slot > job.cap)
        ) AS free (slot)
        WHERE NOT EXISTS (SELECT FROM job_executions AS r WHERE r.status = 'running' AND r.slot = free.slot)
        ORDER BY (free.slot + pg_backend_pid()) % job.cap
        LIMIT 1
        ON CONFLICT (slot) WHERE status = 'running' DO NOTHING
        RETURNING e.id INTO execution;
        EXIT WHEN FOUND;
        IF (SELECT count(*) FROM job_executions AS r WHERE r.status = 'running') >= job.cap THEN
            RETURN NULL;
        END IF;
    END LOOP;
    UPDATE scheduled_jobs AS j
    SET status = 'running',
        started_at = began_at,
        due_at = CASE WHEN job.errors = 0 THEN coalesce(j.scheduled_for, began_at) ELSE j.due_at END,
        error_count = job.errors
    WHERE j.id = p_job_id;
    RETURN execution;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION start_job(text, text) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION start_job(text, text) IS
    'Starts a job and returns the number of its execution; NULL where it is not due, runs already, or may not run now. manual: whether it is due or not.';
