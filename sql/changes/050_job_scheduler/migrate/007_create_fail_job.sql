-- Create the function that ends an execution badly
-- lock: none
-- estimate: 10 ms

-- base * 2^(errors - 1): the exponent and the product are capped, or the 26th failure overflows. Three retries are
-- four attempts: with three attempts in all, as one may read the specification, its 240 s would never be waited.
CREATE OR REPLACE FUNCTION fail_job(p_job_id text, p_execution_id integer, p_error_message text)
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
DECLARE
    ended_at CONSTANT timestamptz := clock_timestamp();
BEGIN
    -- The job before its execution, as who deletes a job takes them: the other way round, each would wait for the other.
    PERFORM FROM scheduled_jobs AS j WHERE j.id = p_job_id FOR NO KEY UPDATE;
    UPDATE job_executions AS e
    SET status = 'failed',
        slot = NULL,
        completed_at = ended_at,
        duration_ms = greatest(0, extract(epoch FROM ended_at - e.started_at) * 1000),
        error_message = coalesce(p_error_message, '')
    WHERE e.id = p_execution_id AND e.job_id = p_job_id AND e.status = 'running';
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('execution %s of job %s is not running', coalesce(p_execution_id::text, 'NULL'), coalesce(p_job_id, 'NULL')),
            HINT = 'It has ended already, or its lease has and the job was given back.';
    END IF;
    UPDATE scheduled_jobs AS j
    SET status = CASE WHEN j.error_count < retry.most THEN 'pending' ELSE 'failed' END,
        error_count = j.error_count + 1,
        last_error = coalesce(p_error_message, ''),
        triggered_by = CASE WHEN j.error_count < retry.most THEN j.triggered_by END,
        scheduled_for = CASE
            WHEN j.error_count < retry.most THEN ended_at + make_interval(
                secs => least(c.retry_cap_seconds, retry.base * 2.0 ^ least(j.error_count, 30)) * (1 + c.retry_jitter * random())
            )
            WHEN j.frequency_type = 'once' THEN NULL
            WHEN j.due_at > ended_at THEN j.due_at
            WHEN j.frequency_type = 'every_n_hours' THEN calculate_next_schedule(
                j.frequency_type,
                j.frequency_config,
                date_bin(make_interval(hours => (j.frequency_config ->> 'hours')::integer), ended_at, j.due_at)
            )
            ELSE calculate_next_schedule(j.frequency_type, j.frequency_config, ended_at)
        END
    FROM scheduler_config AS c
    CROSS JOIN LATERAL (
        SELECT
            coalesce(own.max_retries, c.default_max_retries) AS most,
            coalesce(own.retry_base_seconds, c.default_retry_base_seconds) AS base
        FROM scheduled_jobs AS own
        WHERE own.id = p_job_id
    ) AS retry
    WHERE j.id = p_job_id AND c.id = 1;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION fail_job(text, integer, text) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION fail_job(text, integer, text) IS
    'Ends an execution badly: the job is tried again after 60, 120, 240 s, then it has failed, until its next regular time. Raises 55000 where it does not run.';
