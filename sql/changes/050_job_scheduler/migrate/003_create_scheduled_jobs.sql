-- Create the table of jobs
-- lock: none
-- estimate: 30 ms

-- Starting a job changes no column that an index is made of, so that the row stays on its page (HOT): hence the room on
-- each page, and no index with the status in it.
-- What is done leaves dead entries where the next job is looked for: autovacuum comes at a hundredth of the table, not at
-- a fifth.
CREATE TABLE IF NOT EXISTS scheduled_jobs (
    id                 text NOT NULL,
    job_type           text NOT NULL,
    user_id            bigint,
    priority           text NOT NULL DEFAULT 'medium',
    frequency_type     text NOT NULL,
    frequency_config   jsonb NOT NULL DEFAULT '{}',
    parameters         jsonb NOT NULL DEFAULT '{}',
    enabled            boolean NOT NULL DEFAULT true,
    status             text NOT NULL DEFAULT 'pending',
    scheduled_for      timestamptz,
    due_at             timestamptz,
    started_at         timestamptz,
    completed_at       timestamptz,
    error_count        integer NOT NULL DEFAULT 0,
    last_error         text,
    max_retries        integer,
    retry_base_seconds integer,
    triggered_by       text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT scheduled_jobs_pkey PRIMARY KEY (id),
    CONSTRAINT scheduled_jobs_id_not_empty CHECK (id <> ''),
    CONSTRAINT scheduled_jobs_job_type_known CHECK (job_type IN ('weekly_generation', 'auto_sync', 'daily_advisor', 'weekly_trends')),
    CONSTRAINT scheduled_jobs_priority_known CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    CONSTRAINT scheduled_jobs_status_known CHECK (status IN ('pending', 'running', 'completed', 'failed')),
    CONSTRAINT scheduled_jobs_frequency_type_known CHECK (frequency_type IN ('weekly', 'daily', 'every_n_hours', 'once')),
    CONSTRAINT scheduled_jobs_parameters_object CHECK (jsonb_typeof(parameters) = 'object'),
    CONSTRAINT scheduled_jobs_pending_has_time CHECK (status <> 'pending' OR scheduled_for IS NOT NULL),
    CONSTRAINT scheduled_jobs_scheduled_for_finite CHECK (isfinite(scheduled_for)),
    CONSTRAINT scheduled_jobs_retries_range CHECK (max_retries >= 0 AND retry_base_seconds >= 0),
    -- Raises 22023 and says what a schedule looks like. All checks of a table are read anew by every UPDATE, so that
    -- each costs some microseconds of every start: hence few of them, and this one short.
    CONSTRAINT scheduled_jobs_schedule_valid CHECK (
        frequency_type = 'once' OR calculate_next_schedule(frequency_type, frequency_config, '2000-01-01 00:00:00+00') IS NOT NULL
    )
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);

-- What is due, the most important first: read by equality of the priority, one after the other.
CREATE INDEX IF NOT EXISTS idx_scheduled_jobs_status_priority ON scheduled_jobs (priority, scheduled_for) WHERE enabled = true;
CREATE INDEX IF NOT EXISTS idx_scheduled_jobs_user_id ON scheduled_jobs (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_scheduled_jobs_job_type ON scheduled_jobs (job_type);
CREATE INDEX IF NOT EXISTS idx_scheduled_jobs_parameters ON scheduled_jobs USING gin (parameters);
CREATE INDEX IF NOT EXISTS idx_scheduled_jobs_frequency_config ON scheduled_jobs USING gin (frequency_config);

COMMENT ON TABLE scheduled_jobs IS 'Jobs: what is to be done, when, and how far it is.';
COMMENT ON COLUMN scheduled_jobs.id IS 'Name of the job, for people and logs: job_weekly_gen_001.';
COMMENT ON COLUMN scheduled_jobs.job_type IS 'What is done.';
COMMENT ON COLUMN scheduled_jobs.user_id IS 'User it is done for; NULL for all.';
COMMENT ON COLUMN scheduled_jobs.priority IS 'critical before high before medium before low.';
COMMENT ON COLUMN scheduled_jobs.frequency_type IS 'How it comes back.';
COMMENT ON COLUMN scheduled_jobs.frequency_config IS 'weekly: day (0 or 7 is Sunday, 5 Friday), hour, minute; daily: hour, minute; every_n_hours: hours; all: timezone.';
COMMENT ON COLUMN scheduled_jobs.parameters IS 'What the worker needs; then: ids of jobs that are due when this one is completed.';
COMMENT ON COLUMN scheduled_jobs.enabled IS 'Whether it is started when it is due.';
COMMENT ON COLUMN scheduled_jobs.status IS 'pending, running, completed or failed; a recurring job that is completed or failed waits for scheduled_for.';
COMMENT ON COLUMN scheduled_jobs.scheduled_for IS 'When it is to be started next, retries included; NULL: not again.';
COMMENT ON COLUMN scheduled_jobs.due_at IS 'The regular time that the last start was for, whatever retries made of it.';
COMMENT ON COLUMN scheduled_jobs.started_at IS 'When it was last started.';
COMMENT ON COLUMN scheduled_jobs.completed_at IS 'When it was last completed.';
COMMENT ON COLUMN scheduled_jobs.error_count IS 'Failures since it was last completed, or since its last regular time.';
COMMENT ON COLUMN scheduled_jobs.last_error IS 'What the last failure said; NULL after success.';
COMMENT ON COLUMN scheduled_jobs.max_retries IS 'How often it is tried again; NULL: scheduler_config.default_max_retries.';
COMMENT ON COLUMN scheduled_jobs.retry_base_seconds IS 'Wait before the first retry; NULL: scheduler_config.default_retry_base_seconds.';
COMMENT ON COLUMN scheduled_jobs.triggered_by IS 'Job whose completion made this one due; it is the parent of the executions until one succeeds.';
COMMENT ON COLUMN scheduled_jobs.created_at IS 'When the row was made.';
COMMENT ON COLUMN scheduled_jobs.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE OR REPLACE TRIGGER update_scheduled_jobs_updated_at
    BEFORE UPDATE ON scheduled_jobs
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
