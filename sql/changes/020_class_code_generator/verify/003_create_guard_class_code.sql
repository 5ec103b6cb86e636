-- The function that guards class codes is there, as declared
-- effect: The trigger of step 004 cannot be made, or class codes are not guarded as they should be.
-- remedy: Run migrate/003_create_guard_class_code.sql again.

WITH made AS (
    SELECT
        quote_ident(n.nspname) AS schema,
        t.relowner AS table_owner,
        p.*,
        coalesce(
            (
                SELECT string_agg(format_type(argument.type, NULL), ', ' ORDER BY argument.position)
                FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS argument (type, position)
            ),
            ''
        ) AS arguments,
        pg_get_function_result(p.oid) AS returns,
        (
            SELECT substring(setting FROM '^search_path=(.*)$') FROM unnest(p.proconfig) AS setting
            WHERE setting LIKE 'search_path=%'
        ) AS search_path,
        EXISTS (
            SELECT
            FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS granted
            WHERE granted.grantee = 0
        ) AS for_public
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    LEFT JOIN pg_proc AS p ON p.pronamespace = t.relnamespace AND p.proname = 'guard_class_code'
    WHERE t.oid = to_regclass('classes')
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM made
CROSS JOIN LATERAL (
    VALUES
        (1, 'function guard_class_code', 'present', CASE WHEN oid IS NULL THEN 'missing' ELSE 'present' END),
        (2, 'arguments', '', arguments),
        (3, 'returns', 'trigger', returns),
        (4, 'volatility', 'volatile', CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END),
        (5, 'runs with the rights of', 'its owner', CASE WHEN prosecdef THEN 'its owner' ELSE 'its caller' END),
        (6, 'search_path', schema || ', pg_temp', search_path),
        (7, 'role that owns it', table_owner::regrole::text, proowner::regrole::text),
        (8, 'PUBLIC may execute it', 'no', CASE WHEN for_public THEN 'yes' ELSE 'no' END),
        (9, 'body', 'as in migrate/003_create_guard_class_code.sql', CASE md5(prosrc) WHEN '13679296aeb726b0e8d2d900c7266802' THEN 'as in migrate/003_create_guard_class_code.sql' ELSE 'another' END)
) AS fact (position, setting, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
  AND (fact.position = 1 OR oid IS NOT NULL)
ORDER BY fact.position;
