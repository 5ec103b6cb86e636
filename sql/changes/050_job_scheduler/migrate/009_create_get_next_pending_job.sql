-- Create the question for the next job
-- lock: none
-- estimate: 10 ms

-- The row lock lasts as long as the transaction: who asks and starts in two of them runs jobs twice. So ask for
-- SELECT id, start_job(id, 'scheduled') FROM get_next_pending_job() AS id: one statement, one transaction.
-- One priority after the other, so that each is a range of the index, however many jobs wait: ORDER BY priority would
-- sort words, and medium comes before high there in one direction, low before critical in the other.
CREATE OR REPLACE FUNCTION get_next_pending_job()
RETURNS text
LANGUAGE plpgsql
SET enable_seqscan = off
AS $body$
DECLARE
    asked_at CONSTANT timestamptz := clock_timestamp();
    swept boolean := false;
    lost bigint;
    run record;
    next_id text;
BEGIN
    LOOP
        SELECT now_running.lost, due.id INTO lost, next_id
        FROM (
            SELECT count(*) AS slots, count(*) FILTER (WHERE e.lease_until < asked_at) AS lost
            FROM job_executions AS e
            WHERE e.status = 'running'
        ) AS now_running
        LEFT JOIN LATERAL (
            SELECT first.id
            FROM scheduler_config AS c
            CROSS JOIN (VALUES (1, 'critical'), (2, 'high'), (3, 'medium'), (4, 'low')) AS level (rank, priority)
            CROSS JOIN LATERAL (
                SELECT j.id
                FROM scheduled_jobs AS j
                WHERE j.enabled = true
                    AND j.priority = level.priority
                    AND j.scheduled_for <= asked_at
                    AND (j.status = 'pending' OR (j.status IN ('completed', 'failed') AND j.frequency_type <> 'once'))
                ORDER BY j.scheduled_for
                LIMIT 1
                FOR NO KEY UPDATE SKIP LOCKED
            ) AS first
            WHERE c.id = 1
                AND c.enabled
                AND now_running.slots < c.max_concurrent_jobs
                AND (now_running.lost = 0 OR swept)
            LIMIT 1
        ) AS due ON true;
        EXIT WHEN lost = 0 OR swept;
        FOR run IN
            SELECT e.job_id, e.id, e.worker, e.lease_until
            FROM job_executions AS e
            WHERE e.status = 'running' AND e.lease_until < asked_at
        LOOP
            -- What somebody else has a lock on, be it to give it back, is left to him or to the next who asks.
            PERFORM FROM scheduled_jobs AS j WHERE j.id = run.job_id FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            PERFORM FROM job_executions AS e
            WHERE e.id = run.id AND e.status = 'running' AND e.lease_until < asked_at
            FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            BEGIN
                PERFORM fail_job(run.job_id, run.id, format('worker lost: %s did not renew its lease, which ended at %s', run.worker, run.lease_until));
            EXCEPTION WHEN OTHERS THEN
                -- One job that cannot be given back must not keep all others from being started.
                RAISE WARNING 'job % keeps its slot: its lease has ended, and it cannot be given back: %', run.job_id, SQLERRM;
            END;
        END LOOP;
        swept := true;
    END LOOP;
    RETURN next_id;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION get_next_pending_job() SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION get_next_pending_job() IS
    'The job to start now, locked until the transaction ends; NULL where none is due, the scheduler is off or all slots are taken. Gives back what dead workers had.';
