-- Other objects have the names of this change
-- effect: IF NOT EXISTS would take another table or index for ours, unseen; OR REPLACE would replace a function, or fail
--   (42P13) where it has other parameter names or returns something else; and one of the same name with other
--   arguments makes calls ambiguous (42725).
-- remedy: Find out who uses them, then rename or drop them, or put another schema first in search_path.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('table', 'scheduler_config', 'columns id integer, enabled boolean, max_concurrent_jobs integer, timezone text, lease_seconds integer, default_max_retries integer, default_retry_base_seconds integer, retry_cap_seconds integer, retry_jitter real, created_at timestamp with time zone, updated_at timestamp with time zone'),
        ('table', 'scheduled_jobs', 'columns id text, job_type text, user_id bigint, priority text, frequency_type text, frequency_config jsonb, parameters jsonb, enabled boolean, status text, scheduled_for timestamp with time zone, due_at timestamp with time zone, started_at timestamp with time zone, completed_at timestamp with time zone, error_count integer, last_error text, max_retries integer, retry_base_seconds integer, triggered_by text, created_at timestamp with time zone, updated_at timestamp with time zone'),
        ('table', 'job_executions', 'columns id integer, job_id text, parent_job_id text, trigger_type text, status text, slot integer, worker text, attempt_number integer, started_at timestamp with time zone, lease_until timestamp with time zone, completed_at timestamp with time zone, duration_ms bigint, error_message text, output jsonb'),
        ('table', 'recipe_rotation', 'columns id bigint, user_id bigint, recipe_id text, meal_type text, last_used_date date, use_count integer, created_at timestamp with time zone, updated_at timestamp with time zone'),
        ('index', 'idx_job_executions_job_started', 'of job_executions'),
        ('index', 'idx_job_executions_output', 'of job_executions'),
        ('index', 'idx_job_executions_parent', 'of job_executions'),
        ('index', 'idx_job_executions_running', 'of job_executions'),
        ('index', 'job_executions_pkey', 'of job_executions'),
        ('index', 'idx_recipe_rotation_date', 'of recipe_rotation'),
        ('index', 'idx_recipe_rotation_last_used', 'of recipe_rotation'),
        ('index', 'idx_recipe_rotation_recipe', 'of recipe_rotation'),
        ('index', 'recipe_rotation_pkey', 'of recipe_rotation'),
        ('index', 'recipe_rotation_user_recipe_meal_key', 'of recipe_rotation'),
        ('index', 'idx_scheduled_jobs_frequency_config', 'of scheduled_jobs'),
        ('index', 'idx_scheduled_jobs_job_type', 'of scheduled_jobs'),
        ('index', 'idx_scheduled_jobs_parameters', 'of scheduled_jobs'),
        ('index', 'idx_scheduled_jobs_status_priority', 'of scheduled_jobs'),
        ('index', 'idx_scheduled_jobs_user_id', 'of scheduled_jobs'),
        ('index', 'scheduled_jobs_pkey', 'of scheduled_jobs'),
        ('index', 'scheduler_config_pkey', 'of scheduler_config'),
        ('function', 'calculate_next_schedule', '(p_frequency_type text, p_config jsonb, p_from_time timestamp with time zone DEFAULT now()) returns timestamp with time zone, body d5f05d86fd098a26342aee9b2440cdfa'),
        ('function', 'complete_job', '(p_job_id text, p_execution_id integer, p_output jsonb DEFAULT NULL::jsonb) returns void, body c046b0d61ccefe52cf269f203f95273a'),
        ('function', 'fail_job', '(p_job_id text, p_execution_id integer, p_error_message text) returns void, body 587c36f20684500ea823dfa088d7dae8'),
        ('function', 'start_job', '(p_job_id text, p_trigger_type text DEFAULT ''scheduled''::text) returns integer, body 73b365207906fdf33347f0c9a48facc6'),
        ('function', 'get_next_pending_job', '() returns text, body ae5baecde770881e6467493a99ec8b91'),
        ('function', 'update_recipe_rotation', '(p_user_id bigint, p_recipe_id text, p_meal_type text, p_used_date date) returns void, body 2b5794688bc222c675004fe8ced2b058'),
        ('function', 'get_recipes_on_cooldown', '(p_user_id bigint, p_meal_type text, p_cooldown_days integer DEFAULT 30) returns TABLE(recipe_id text, last_used_date date, days_since_use integer), body 8c0092c1b7baa0502fb0b04da2c1c3bf'),
        ('function', 'wake_job_workers', '() returns trigger, body 56519da7ac4e88044a0fd96774abb100')
), home AS (
    SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema()
), found (kind, name, definition, owner) AS (
    SELECT
        wanted.kind,
        wanted.name,
        CASE
            WHEN c.relkind IN ('i', 'I') THEN 'of ' || i.indrelid::regclass::text
            WHEN c.relkind <> 'r' THEN 'another kind of relation'
            ELSE 'columns ' || (
                SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            )
        END,
        c.relowner
    FROM home
    JOIN pg_class AS c ON c.relnamespace = home.oid
    JOIN wanted ON wanted.name = c.relname AND wanted.kind IN ('table', 'index')
    LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
    UNION ALL
    SELECT wanted.kind, wanted.name, 'type ' || format_type(t.oid, NULL), t.typowner
    FROM home
    JOIN pg_type AS t ON t.typnamespace = home.oid AND t.typrelid = 0
    JOIN wanted ON wanted.name = t.typname AND wanted.kind = 'table'
    UNION ALL
    SELECT
        wanted.kind,
        wanted.name,
        format('(%s) returns %s, body %s', pg_get_function_arguments(p.oid), coalesce(pg_get_function_result(p.oid), 'nothing'), md5(p.prosrc)),
        p.proowner
    FROM home
    JOIN pg_proc AS p ON p.pronamespace = home.oid
    JOIN wanted ON wanted.name = p.proname AND wanted.kind = 'function'
)
SELECT
    wanted.kind || ' ' || wanted.name AS object,
    fact.expected AS expected,
    fact.found AS found
FROM wanted
JOIN found ON found.kind = wanted.kind AND found.name = wanted.name
CROSS JOIN LATERAL (
    VALUES
        (wanted.definition, found.definition),
        (
            'owned by ' || current_user,
            'owned by ' || CASE WHEN pg_has_role(found.owner, 'USAGE') THEN current_user ELSE pg_get_userbyid(found.owner) END
        )
) AS fact (expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
ORDER BY object, fact.expected, fact.found;
