-- Create the function that ends an execution well
-- lock: none
-- estimate: 10 ms

-- The specification leaves a recurring job completed for ever: here it waits for its next regular time.
CREATE OR REPLACE FUNCTION complete_job(p_job_id text, p_execution_id integer, p_output jsonb DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
DECLARE
    ended_at CONSTANT timestamptz := clock_timestamp();
    successors jsonb;
    successor text;
BEGIN
    -- The job before its execution, as who deletes a job takes them: the other way round, each would wait for the other.
    -- Where the execution does not run, the error takes this back.
    UPDATE scheduled_jobs AS j
    SET status = 'completed',
        completed_at = ended_at,
        error_count = 0,
        last_error = NULL,
        triggered_by = NULL,
        scheduled_for = CASE
            WHEN j.frequency_type = 'once' THEN NULL
            WHEN j.due_at > ended_at THEN j.due_at
            WHEN j.frequency_type = 'every_n_hours' THEN calculate_next_schedule(
                j.frequency_type,
                j.frequency_config,
                date_bin(make_interval(hours => (j.frequency_config ->> 'hours')::integer), ended_at, j.due_at)
            )
            ELSE calculate_next_schedule(j.frequency_type, j.frequency_config, ended_at)
        END
    WHERE j.id = p_job_id
    RETURNING j.parameters -> 'then' INTO successors;
    UPDATE job_executions AS e
    SET status = 'completed',
        slot = NULL,
        completed_at = ended_at,
        duration_ms = greatest(0, extract(epoch FROM ended_at - e.started_at) * 1000),
        output = p_output
    WHERE e.id = p_execution_id AND e.job_id = p_job_id AND e.status = 'running';
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('execution %s of job %s is not running', coalesce(p_execution_id::text, 'NULL'), coalesce(p_job_id, 'NULL')),
            HINT = 'It has ended already, or its lease has and the job was given back: what this worker did does not count.';
    END IF;
    IF jsonb_typeof(successors) = 'array' THEN
        -- One by one in one order: two jobs with the same successors may be completed at once.
        FOR successor IN SELECT DISTINCT e.id FROM jsonb_array_elements_text(successors) AS e (id) ORDER BY e.id LOOP
            UPDATE scheduled_jobs AS j
            SET status = 'pending',
                -- Its own regular time stays what it was.
                due_at = CASE
                    WHEN j.triggered_by IS NOT NULL OR (j.status = 'pending' AND j.error_count > 0) THEN j.due_at
                    ELSE j.scheduled_for
                END,
                scheduled_for = ended_at,
                error_count = 0,
                triggered_by = p_job_id
            WHERE j.id = successor AND j.status <> 'running';
        END LOOP;
    END IF;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION complete_job(text, integer, jsonb) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION complete_job(text, integer, jsonb) IS
    'Ends an execution well: the job waits for its next time, and jobs named by its parameter then are due. Raises 55000 where it does not run.';
