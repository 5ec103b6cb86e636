-- The four kinds of jobs, for everybody and for three users, with executions and used recipes: after the change, any
-- number of times. Nothing is due at once: the first times are worked out from the clock.

INSERT INTO scheduled_jobs (id, job_type, user_id, priority, frequency_type, frequency_config, parameters, scheduled_for)
SELECT
    job.id,
    job.job_type,
    job.user_id,
    job.priority,
    job.frequency_type,
    job.frequency_config,
    job.parameters,
    calculate_next_schedule(job.frequency_type, job.frequency_config, now())
FROM (
    VALUES
        -- Friday 6:00; what it makes is synchronised at once, which is no schedule of its own.
        ('job_weekly_gen_001', 'weekly_generation', NULL, 'critical', 'weekly', '{"day": 5, "hour": 6, "minute": 0}'::jsonb, '{"weeks": 1, "then": ["job_sync_plan_001"]}'::jsonb),
        ('job_auto_sync_001', 'auto_sync', NULL, 'high', 'every_n_hours', '{"hours": 2}', '{"sources": ["tandoor", "fatsecret"]}'),
        ('job_daily_advisor_001', 'daily_advisor', NULL, 'medium', 'daily', '{"hour": 20, "minute": 0}', '{"channel": "email"}'),
        ('job_weekly_trends_001', 'weekly_trends', NULL, 'low', 'weekly', '{"day": 4, "hour": 20, "minute": 0}', '{"weeks": 4}'),
        ('job_weekly_gen_user_1', 'weekly_generation', 1, 'high', 'weekly', '{"day": 5, "hour": 6, "minute": 0}', '{"weeks": 1}'),
        ('job_auto_sync_user_2', 'auto_sync', 2, 'medium', 'every_n_hours', '{"hours": 4}', '{"sources": ["fatsecret"]}'),
        ('job_daily_advisor_user_3', 'daily_advisor', 3, 'low', 'daily', '{"hour": 20, "minute": 0}', '{"channel": "email"}')
) AS job (id, job_type, user_id, priority, frequency_type, frequency_config, parameters)
ON CONFLICT (id) DO NOTHING;

-- Not due by itself: it has no time until the job that names it is completed.
INSERT INTO scheduled_jobs (id, job_type, priority, frequency_type, status, scheduled_for, parameters)
VALUES ('job_sync_plan_001', 'auto_sync', 'high', 'once', 'completed', NULL, '{"sources": ["tandoor"]}')
ON CONFLICT (id) DO NOTHING;

-- Three runs of the synchronisation, the second of which had to be tried again.
INSERT INTO job_executions (job_id, trigger_type, status, worker, attempt_number, started_at, lease_until, completed_at, duration_ms, error_message, output)
SELECT
    'job_auto_sync_001',
    run.trigger_type,
    run.status,
    'sample',
    run.attempt,
    run.began,
    run.began + interval '5 minutes',
    run.began + run.ms * interval '1 millisecond',
    run.ms,
    run.error,
    run.output
FROM (
    VALUES
        ('scheduled', 'completed', 1, timestamptz '2025-12-18 06:00:01+00', 1840, NULL, '{"recipes": 12, "diary": 31}'::jsonb),
        ('scheduled', 'failed', 1, timestamptz '2025-12-18 08:00:01+00', 30000, 'FatSecret did not answer for 30 s', NULL),
        ('retry', 'completed', 2, timestamptz '2025-12-18 08:01:32+00', 2115, NULL, '{"recipes": 3, "diary": 18}')
) AS run (trigger_type, status, attempt, began, ms, error, output)
WHERE NOT EXISTS (SELECT FROM job_executions AS e WHERE e.job_id = 'job_auto_sync_001' AND e.worker = 'sample')
ORDER BY run.began;

-- Each of the three users had four recipes at each of two meals, 0 to 45 days ago.
INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date, use_count)
SELECT
    u.id,
    format('recipe-%s', u.id * 10 + used.number),
    meal.type,
    (now() AT TIME ZONE 'UTC')::date - used.days_ago,
    used.number
FROM users AS u
CROSS JOIN (VALUES ('breakfast'), ('dinner')) AS meal (type)
CROSS JOIN (VALUES (1, 0), (2, 15), (3, 30), (4, 45)) AS used (number, days_ago)
WHERE u.id IN (1, 2, 3)
ON CONFLICT (user_id, recipe_id, meal_type) DO NOTHING;
