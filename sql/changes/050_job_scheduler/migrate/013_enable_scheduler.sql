-- Count what was made, and switch the scheduler on
-- lock: RowExclusive on scheduler_config
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DO $validate$
DECLARE
    home CONSTANT regnamespace := current_schema()::regnamespace;
    made integer;
BEGIN
    SELECT count(*) INTO made
    FROM unnest(ARRAY['scheduled_jobs', 'job_executions', 'scheduler_config', 'recipe_rotation']) AS wanted (name)
    JOIN pg_class AS c ON c.relnamespace = home AND c.relname = wanted.name AND c.relkind = 'r';
    RAISE NOTICE 'Tables created: % (expected: 4)', made;
    IF made <> 4 THEN
        RAISE EXCEPTION 'tables created: %, expected: 4', made;
    END IF;

    -- All but the primary keys; an invalid one serves nobody.
    SELECT count(*) INTO made
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace = home
        AND c.relname IN ('scheduled_jobs', 'job_executions', 'scheduler_config', 'recipe_rotation')
        AND i.indisvalid
        AND NOT i.indisprimary;
    RAISE NOTICE 'Indexes created: % (expected: 13+)', made;
    IF made < 13 THEN
        RAISE EXCEPTION 'indexes created: %, expected: 13', made;
    END IF;

    SELECT count(*) INTO made
    FROM unnest(ARRAY[
        'get_next_pending_job()',
        'start_job(text, text)',
        'complete_job(text, integer, jsonb)',
        'fail_job(text, integer, text)',
        'calculate_next_schedule(text, jsonb, timestamptz)',
        'update_recipe_rotation(bigint, text, text, date)',
        'get_recipes_on_cooldown(bigint, text, integer)'
    ]) AS wanted (signature)
    WHERE to_regprocedure(format('%s.%s', home, wanted.signature)) IS NOT NULL;
    RAISE NOTICE 'Functions created: % (expected: 7)', made;
    IF made <> 7 THEN
        RAISE EXCEPTION 'functions created: %, expected: 7', made;
    END IF;
END
$validate$;

UPDATE scheduler_config SET enabled = true WHERE id = 1;
