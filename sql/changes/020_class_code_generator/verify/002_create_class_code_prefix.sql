-- The function that puts a prefix together is there, as declared
-- effect: No code can be made: next_class_code asks it for the prefix.
-- remedy: Run migrate/002_create_class_code_prefix.sql again.

WITH made AS (
    SELECT
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
        ) AS search_path
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    LEFT JOIN pg_proc AS p ON p.pronamespace = t.relnamespace AND p.proname = 'class_code_prefix'
    WHERE t.oid = to_regclass('classes')
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM made
CROSS JOIN LATERAL (
    VALUES
        (1, 'function class_code_prefix', 'present', CASE WHEN oid IS NULL THEN 'missing' ELSE 'present' END),
        (2, 'arguments', 'text, text, text', arguments),
        (3, 'returns', 'text', returns),
        (4, 'volatility', 'immutable', CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END),
        (5, 'runs with the rights of', 'its caller', CASE WHEN prosecdef THEN 'its owner' ELSE 'its caller' END),
        (6, 'search_path', 'pg_catalog, pg_temp', search_path),
        (9, 'body', 'as in migrate/002_create_class_code_prefix.sql', CASE md5(prosrc) WHEN 'ea537e355d6c7003e6f12a119356541c' THEN 'as in migrate/002_create_class_code_prefix.sql' ELSE 'another' END)
) AS fact (position, setting, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
  AND (fact.position = 1 OR oid IS NOT NULL)
ORDER BY fact.position;
