-- Create the configuration of the scheduler, switched off
-- lock: none
-- estimate: 10 ms

-- CHECK (id = 1) alone lets the same row in again and again: the primary key makes it one.
CREATE TABLE IF NOT EXISTS scheduler_config (
    id                         integer NOT NULL DEFAULT 1,
    enabled                    boolean NOT NULL DEFAULT true,
    max_concurrent_jobs        integer NOT NULL DEFAULT 5,
    timezone                   text NOT NULL DEFAULT 'UTC',
    lease_seconds              integer NOT NULL DEFAULT 300,
    default_max_retries        integer NOT NULL DEFAULT 3,
    default_retry_base_seconds integer NOT NULL DEFAULT 60,
    retry_cap_seconds          integer NOT NULL DEFAULT 3600,
    retry_jitter               real NOT NULL DEFAULT 0,
    created_at                 timestamptz NOT NULL DEFAULT now(),
    updated_at                 timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT scheduler_config_pkey PRIMARY KEY (id),
    CONSTRAINT scheduler_config_one_row CHECK (id = 1),
    CONSTRAINT scheduler_config_max_concurrent_jobs_range CHECK (max_concurrent_jobs BETWEEN 0 AND 1000),
    -- +05:00 and UTC+5 would be taken, too, and mean five hours west of Greenwich.
    CONSTRAINT scheduler_config_timezone_named CHECK (timezone ~ '^[A-Za-z_]+(-[A-Za-z]+)?(/[A-Za-z0-9_+-]+)*$'),
    -- Raises 22023 where the server does not know the zone.
    CONSTRAINT scheduler_config_timezone_known CHECK ((timestamptz '2000-01-01 00:00:00+00' AT TIME ZONE timezone) IS NOT NULL),
    CONSTRAINT scheduler_config_lease_seconds_range CHECK (lease_seconds BETWEEN 1 AND 86400),
    CONSTRAINT scheduler_config_default_max_retries_range CHECK (default_max_retries BETWEEN 0 AND 100),
    CONSTRAINT scheduler_config_default_retry_base_seconds_range CHECK (default_retry_base_seconds BETWEEN 0 AND 86400),
    CONSTRAINT scheduler_config_retry_cap_seconds_range CHECK (retry_cap_seconds BETWEEN 0 AND 604800),
    CONSTRAINT scheduler_config_retry_jitter_range CHECK (retry_jitter BETWEEN 0 AND 1)
);

COMMENT ON TABLE scheduler_config IS 'What holds for all jobs: one row.';
COMMENT ON COLUMN scheduler_config.id IS 'Always 1.';
COMMENT ON COLUMN scheduler_config.enabled IS 'Kill switch: while it is false, no job is started; those that run go on.';
COMMENT ON COLUMN scheduler_config.max_concurrent_jobs IS 'Most jobs that run at a time, whoever starts them.';
COMMENT ON COLUMN scheduler_config.timezone IS 'Zone that daily and weekly times are meant in, unless frequency_config.timezone says another.';
COMMENT ON COLUMN scheduler_config.lease_seconds IS 'How long a worker has a job without renewing its lease; then the job is given back.';
COMMENT ON COLUMN scheduler_config.default_max_retries IS 'How often a job that failed is tried again, unless the job says otherwise.';
COMMENT ON COLUMN scheduler_config.default_retry_base_seconds IS 'Wait before the first retry; each further one waits twice as long.';
COMMENT ON COLUMN scheduler_config.retry_cap_seconds IS 'Longest wait before a retry.';
COMMENT ON COLUMN scheduler_config.retry_jitter IS 'By up to which part a wait is lengthened at random, so that jobs that failed together do not come back together.';
COMMENT ON COLUMN scheduler_config.created_at IS 'When the row was made.';
COMMENT ON COLUMN scheduler_config.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE OR REPLACE TRIGGER update_scheduler_config_updated_at
    BEFORE UPDATE ON scheduler_config
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

INSERT INTO scheduler_config (id, enabled)
VALUES (1, false)
ON CONFLICT (id) DO NOTHING;
