-- Create the function that starts a job
-- lock: none
-- estimate: 10 ms

-- Of all who start a job at once one gets a number, the others NULL. A slot that another session is about to take is
-- waited for by ON CONFLICT, for as long as that session takes to commit.
-- Small statements one after the other: one that does it all takes longer to set up than to run, and while the job is
-- locked all others who ask have to pass it by.
CREATE OR REPLACE FUNCTION start_job(p_job_id text, p_trigger_type text DEFAULT 'scheduled')
RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
DECLARE
    began_at CONSTANT timestamptz := clock_timestamp();
    job record;
    parent text;
    free_slot integer;
    execution integer;
BEGIN
    IF p_trigger_type IS NULL OR p_trigger_type NOT IN ('scheduled', 'manual', 'retry', 'dependent') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('no trigger type: %s', coalesce(p_trigger_type, 'NULL')),
            HINT = 'There are scheduled, manual, retry and dependent.';
    END IF;
    SELECT
        CASE WHEN j.status IN ('completed', 'failed') THEN 0 ELSE j.error_count END AS errors,
        j.triggered_by,
        j.due_at,
        j.scheduled_for,
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
    IF NOT FOUND AND p_job_id IS NOT NULL AND NOT EXISTS (SELECT FROM scheduled_jobs AS j WHERE j.id = p_job_id) THEN
        RAISE no_data_found USING MESSAGE = format('there is no job %s', p_job_id);
    ELSIF job.cap IS NULL OR job.cap = 0 THEN
        RETURN NULL;
    END IF;
    IF job.triggered_by IS NOT NULL THEN
        SELECT j.id INTO parent FROM scheduled_jobs AS j WHERE j.id = job.triggered_by;
    END IF;
    LOOP
        -- Each session begins at another slot, so that they seldom meet.
        free_slot := 1 + pg_backend_pid() % job.cap;
        IF EXISTS (SELECT FROM job_executions AS r WHERE r.status = 'running' AND r.slot > job.cap)
            OR EXISTS (SELECT FROM job_executions AS r WHERE r.status = 'running' AND r.slot = free_slot)
        THEN
            -- Where jobs still have slots above a cap that was lowered, all sessions want the same one, and count.
            SELECT free.slot INTO free_slot
            FROM (
                SELECT EXISTS (SELECT FROM job_executions AS r WHERE r.status = 'running' AND r.slot > job.cap) AS lowered
            ) AS late
            CROSS JOIN LATERAL (
                SELECT 1 + (step.n + CASE WHEN late.lowered THEN 0 ELSE pg_backend_pid() END) % job.cap AS slot
                FROM (SELECT generate_series(0, job.cap - 1) AS n) AS step
            ) AS free
            WHERE NOT EXISTS (SELECT FROM job_executions AS r WHERE r.status = 'running' AND r.slot = free.slot)
                AND (NOT late.lowered OR (SELECT count(*) FROM job_executions AS r WHERE r.status = 'running') < job.cap)
            LIMIT 1;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
        INSERT INTO job_executions AS e (job_id, parent_job_id, trigger_type, slot, worker, attempt_number, started_at, lease_until)
        VALUES (
            p_job_id,
            parent,
            CASE
                WHEN p_trigger_type <> 'scheduled' THEN p_trigger_type
                WHEN job.errors > 0 THEN 'retry'
                WHEN job.triggered_by IS NOT NULL THEN 'dependent'
                ELSE 'scheduled'
            END,
            free_slot,
            current_setting('application_name') || ' pid ' || pg_backend_pid(),
            job.errors + 1,
            began_at,
            began_at + make_interval(secs => job.lease_seconds)
        )
        ON CONFLICT (slot) WHERE status = 'running' DO NOTHING
        RETURNING e.id INTO execution;
        EXIT WHEN FOUND;
    END LOOP;
    UPDATE scheduled_jobs AS j
    SET status = 'running',
        started_at = began_at,
        due_at = coalesce(CASE WHEN job.errors > 0 OR job.triggered_by IS NOT NULL THEN job.due_at END, job.scheduled_for, began_at),
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
