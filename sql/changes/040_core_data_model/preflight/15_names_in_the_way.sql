-- Other objects have the names of this change
-- effect: A step would fail, or replace somebody's function unseen, or take a type with other values for its own.
-- remedy: Find out who uses them, then rename or drop them, or put another schema first in search_path.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('type', 'goal_type', 'values professional, personal'),
        ('type', 'cycle_status', 'values draft, active, completed, archived'),
        ('type', 'goal_status', 'values active, achieved, missed, dropped'),
        ('type', 'plan_item_status', 'values planned, in_progress, completed, skipped'),
        ('type', 'chat_role', 'values user, assistant, system, tool'),
        ('type', 'audit_action', 'values insert, update, delete'),
        ('function', 'current_app_user()', 'body e55dab5e952f2c832b9f0cdab453981c'),
        ('function', 'touch_row()', 'body 569a93507f4e2d48e466f14180c25fe7'),
        ('function', 'hold_lock_flag(uuid, uuid)', 'body d2c3648587c5cbb6795540776cedbc21'),
        ('function', 'guard_plan_item()', 'body 3beb30f286c16c0cdfbe5f3e48f4a0fa'),
        ('function', 'guard_weekly_plan()', 'body 59824e5c739fb77b309a723f7f96ea93'),
        ('function', 'guard_cycle()', 'body f6b22e692403591f1ce7f1b056090ba2'),
        ('function', 'refuse_statement()', 'body 9b8e8ff291f1b1413ac285ee53700f75'),
        ('function', 'write_audit_log()', 'body 22eaab056479176c660f46926e5ab2b5'),
        ('table', 'vision', 'columns id, user_id, title, body, horizon_years, details, created_at, updated_at'),
        ('table', 'cycle', 'columns id, user_id, vision_id, title, status, starts_on, ends_on, lock_enforced, settings, created_at, updated_at'),
        ('table', 'goal', 'columns id, user_id, cycle_id, goal_type, title, description, status, measure, created_at, updated_at'),
        ('table', 'weekly_plan', 'columns id, user_id, cycle_id, week_number, focus, review, created_at, updated_at'),
        ('table', 'task', 'columns id, user_id, cycle_id, goal_id, title, notes, weekly_quota, is_archived, created_at, updated_at'),
        ('table', 'plan_item', 'columns id, user_id, cycle_id, weekly_plan_id, task_id, quota, done, status, note, created_at, updated_at'),
        ('table', 'chat_session', 'columns id, user_id, cycle_id, title, context, ended_at, created_at, updated_at'),
        ('table', 'chat_message', 'columns id, user_id, chat_session_id, role, content, metadata, created_at, updated_at'),
        ('table', 'audit_log', 'columns id, user_id, action, table_name, row_id, before, after, actor_id, database_role, transaction_id, occurred_at')
), found (kind, name, definition) AS (
    SELECT
        'table',
        c.relname::text,
        concat_ws(
            ' ',
            CASE WHEN c.relkind <> 'r' THEN 'not a table:' END,
            'columns ' || string_agg(a.attname, ', ' ORDER BY a.attnum)
        )
    FROM pg_class AS c
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema()::regnamespace
    GROUP BY c.oid
    UNION ALL
    SELECT
        wanted.kind,
        wanted.name,
        coalesce(
            'values ' || (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid),
            'no enumeration'
        )
    FROM wanted
    JOIN pg_type AS t ON t.typname = wanted.name AND t.typnamespace = current_schema()::regnamespace
    WHERE wanted.kind = 'type'
    UNION ALL
    SELECT wanted.kind, wanted.name, 'body ' || md5(p.prosrc)
    FROM wanted
    JOIN pg_proc AS p ON p.oid = to_regprocedure(wanted.name) AND p.pronamespace = current_schema()::regnamespace
    WHERE wanted.kind = 'function'
)
SELECT
    found.kind || ' ' || found.name AS object,
    wanted.definition AS expected,
    found.definition AS found
FROM wanted
JOIN found ON found.kind = wanted.kind AND found.name = wanted.name
WHERE found.definition <> wanted.definition
ORDER BY object;
