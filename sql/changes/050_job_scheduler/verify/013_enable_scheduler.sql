-- All is there, and the scheduler is switched on
-- effect: No job would be started.
-- remedy: Look who switched it off, and why. For the rest, run migrate/013_enable_scheduler.sql again: it says what is missing.

WITH home AS (
    SELECT t.relnamespace AS oid FROM pg_class AS t WHERE t.oid = to_regclass('scheduler_config')
), ours AS (
    SELECT c.oid
    FROM home
    JOIN pg_class AS c ON c.relnamespace = home.oid AND c.relkind = 'r'
    WHERE c.relname IN ('scheduled_jobs', 'job_executions', 'scheduler_config', 'recipe_rotation')
), counted AS (
    SELECT
        (SELECT count(*) FROM ours) AS tables,
        (SELECT count(*) FROM ours JOIN pg_index AS i ON i.indrelid = ours.oid WHERE i.indisvalid AND NOT i.indisprimary) AS indexes,
        (
            SELECT count(*)
            FROM home
            JOIN pg_proc AS p ON p.pronamespace = home.oid
            WHERE p.oid IN (
                to_regprocedure('get_next_pending_job()'),
                to_regprocedure('start_job(text, text)'),
                to_regprocedure('complete_job(text, integer, jsonb)'),
                to_regprocedure('fail_job(text, integer, text)'),
                to_regprocedure('calculate_next_schedule(text, jsonb, timestamptz)'),
                to_regprocedure('update_recipe_rotation(bigint, text, text, date)'),
                to_regprocedure('get_recipes_on_cooldown(bigint, text, integer)')
            )
        ) AS functions,
        (SELECT count(*) FROM scheduler_config) AS configurations,
        (SELECT coalesce(bool_and(c.enabled), false) FROM scheduler_config AS c) AS enabled
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM counted
CROSS JOIN LATERAL (
    VALUES
        (1, tables <> 4, 'tables', '4', tables::text),
        (2, indexes < 13, 'indexes besides primary keys', '13 or more', indexes::text),
        (3, functions <> 7, 'functions', '7', functions::text),
        (4, configurations <> 1, 'rows of scheduler_config', '1', configurations::text),
        (5, NOT enabled, 'scheduler_config.enabled', 'true', enabled::text)
) AS fact (position, present, setting, expected, found)
WHERE fact.present
ORDER BY fact.position;
