-- The weeks themselves are guarded
-- effect: A locked week could be moved or deleted, and its quotas with it.
-- remedy: Run migrate/020_guard_weekly_plan.sql again.

WITH wanted_function (signature, returns, volatility, rights, path, open, body) AS (
    VALUES
        ('guard_weekly_plan()', 'trigger', 'volatile', 'caller', NULL, 'no', '59824e5c739fb77b309a723f7f96ea93')
), function AS (
    SELECT
        wanted.*,
        p.oid,
        p.prosrc,
        p.provolatile,
        p.prosecdef,
        pg_get_function_result(p.oid) AS returns_now,
        (SELECT substring(s FROM '^search_path=(.*)$') FROM unnest(p.proconfig) AS s WHERE s LIKE 'search_path=%') AS path_now,
        quote_ident(n.nspname) AS schema,
        EXISTS (
            SELECT
            FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS granted
            WHERE granted.grantee = 0 AND granted.privilege_type = 'EXECUTE'
        ) AS for_public
    FROM wanted_function AS wanted
    LEFT JOIN pg_proc AS p ON p.oid = to_regprocedure(wanted.signature)
    LEFT JOIN pg_namespace AS n ON n.oid = p.pronamespace
), wanted_trigger (table_name, name, definition, function) AS (
    VALUES
        ('weekly_plan', 'guard_lock', 'BEFORE DELETE OR UPDATE FOR EACH ROW', 'guard_weekly_plan()'),
        ('weekly_plan', 'guard_new_week', 'AFTER INSERT FOR EACH ROW', 'guard_weekly_plan()')
)
SELECT
    fact.object AS object,
    fact.expected AS expected,
    fact.found AS found
FROM (
    SELECT 'function ' || function.signature AS object, fact.expected, fact.found
    FROM function
    CROSS JOIN LATERAL (
        VALUES
            ('present', CASE WHEN oid IS NULL THEN 'missing' ELSE 'present' END),
            ('returns ' || returns, 'returns ' || returns_now),
            (volatility, CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END),
            ('with the rights of its ' || rights, 'with the rights of its ' || CASE WHEN prosecdef THEN 'owner' ELSE 'caller' END),
            ('search_path ' || coalesce(path, schema) || ', pg_temp', 'search_path ' || coalesce(path_now, 'of the caller')),
            ('PUBLIC may execute it: ' || open, 'PUBLIC may execute it: ' || CASE WHEN for_public THEN 'yes' ELSE 'no' END),
            ('body ' || body, 'body ' || md5(prosrc))
    ) AS fact (expected, found)
    WHERE fact.found IS DISTINCT FROM fact.expected AND (fact.expected = 'present' OR oid IS NOT NULL)
    UNION ALL
    SELECT
        'trigger ' || wanted.name || ' on ' || wanted.table_name,
        concat_ws(' ', wanted.definition, wanted.function),
        CASE WHEN g.oid IS NULL THEN 'missing' ELSE found.definition END
    FROM wanted_trigger AS wanted
    LEFT JOIN pg_trigger AS g ON g.tgrelid = to_regclass(wanted.table_name) AND g.tgname = wanted.name
    CROSS JOIN LATERAL (
        SELECT concat_ws(
            ' ',
            regexp_replace(pg_get_triggerdef(g.oid), '^CREATE TRIGGER \S+ (.*) ON \S+ (.*) EXECUTE FUNCTION .*$', '\1 \2'),
            CASE
                WHEN g.tgfoid = to_regprocedure(split_part(wanted.function, '(', 1) || '()')
                    THEN split_part(wanted.function, '(', 1) || '(' || substring(pg_get_triggerdef(g.oid) FROM 'EXECUTE FUNCTION [^(]*\((.*)$')
                ELSE 'another function'
            END,
            CASE WHEN g.tgenabled <> 'O' THEN 'not enabled' END
        ) AS definition
    ) AS found
    WHERE g.oid IS NULL OR found.definition <> concat_ws(' ', wanted.definition, wanted.function)
) AS fact
ORDER BY fact.object, fact.expected;
