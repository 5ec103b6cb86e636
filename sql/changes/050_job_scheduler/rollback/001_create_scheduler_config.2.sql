-- Prove that nothing of the change is left
-- lock: none
-- estimate: 10 ms

-- Backups stay, and so do users, auto_meal_plans and update_updated_at_column(), which were there before.
DO $validate$
DECLARE
    left_over text;
BEGIN
    SELECT string_agg(found.object, ', ' ORDER BY found.object) INTO left_over
    FROM (
        SELECT format('table %s', c.oid::regclass) AS object
        FROM pg_class AS c
        WHERE c.relnamespace::regnamespace = current_schema()::regnamespace
            AND c.relname IN ('scheduled_jobs', 'job_executions', 'scheduler_config', 'recipe_rotation')
        UNION ALL
        SELECT format('function %s', p.oid::regprocedure)
        FROM pg_proc AS p
        WHERE p.pronamespace::regnamespace = current_schema()::regnamespace
            AND p.proname IN (
                'get_next_pending_job', 'start_job', 'complete_job', 'fail_job', 'calculate_next_schedule',
                'update_recipe_rotation', 'get_recipes_on_cooldown', 'wake_job_workers'
            )
    ) AS found;
    IF left_over IS NOT NULL THEN
        RAISE EXCEPTION 'left of the job scheduler: %', left_over;
    END IF;
    RAISE NOTICE 'Left of the job scheduler: nothing';
END
$validate$;
