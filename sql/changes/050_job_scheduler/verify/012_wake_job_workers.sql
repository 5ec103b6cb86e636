-- Workers are told at once
-- effect: Jobs would start up to one poll later than they could.
-- remedy: Run migrate/012_wake_job_workers.sql again.

WITH wanted (table_name, name, definition) AS (
    VALUES
        ('scheduled_jobs', 'wake_job_workers', 'AFTER INSERT FOR EACH STATEMENT'),
        ('scheduled_jobs', 'wake_job_workers_again', 'AFTER UPDATE OF status, enabled, scheduled_for FOR EACH ROW WHEN ((new.enabled AND (new.status = ''pending''::text)))'),
        ('scheduler_config', 'wake_job_workers', 'AFTER UPDATE FOR EACH STATEMENT')
)
SELECT
    fact.object AS object,
    fact.expected AS expected,
    fact.found AS found
FROM (
    SELECT 'function wake_job_workers()' AS object, shape.expected, shape.found
    FROM (VALUES (to_regprocedure('wake_job_workers()'))) AS wanted (oid)
    LEFT JOIN pg_proc AS p ON p.oid = wanted.oid
    CROSS JOIN LATERAL (
        VALUES
            ('present', CASE WHEN p.oid IS NULL THEN 'missing' ELSE 'present' END),
            ('returns trigger', 'returns ' || coalesce(pg_get_function_result(p.oid), 'trigger')),
            ('body 56519da7ac4e88044a0fd96774abb100', 'body ' || coalesce(md5(p.prosrc), '56519da7ac4e88044a0fd96774abb100'))
    ) AS shape (expected, found)
    UNION ALL
    SELECT
        'trigger ' || wanted.name || ' on ' || wanted.table_name,
        wanted.definition || ' wake_job_workers()',
        CASE WHEN g.oid IS NULL THEN 'missing' ELSE found.definition END
    FROM wanted
    LEFT JOIN pg_trigger AS g ON g.tgrelid = to_regclass(wanted.table_name) AND g.tgname = wanted.name
    CROSS JOIN LATERAL (
        SELECT concat_ws(
            ' ',
            regexp_replace(pg_get_triggerdef(g.oid), '^CREATE TRIGGER \S+ (.*) ON \S+ (.*) EXECUTE FUNCTION .*$', '\1 \2'),
            CASE WHEN g.tgfoid = to_regprocedure('wake_job_workers()') THEN 'wake_job_workers()' ELSE 'another function' END,
            CASE WHEN g.tgenabled <> 'O' THEN 'not enabled' END
        ) AS definition
    ) AS found
) AS fact
WHERE fact.found <> fact.expected
ORDER BY fact.object, fact.expected;
