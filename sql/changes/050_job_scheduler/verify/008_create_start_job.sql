-- The function that starts a job is there, as declared
-- effect: No job could be started, or one twice.
-- remedy: Run migrate/008_create_start_job.sql again.

WITH wanted (signature, arguments, returns, language, volatility, settings, body) AS (
    VALUES (
        'start_job(text, text)',
        'p_job_id text, p_trigger_type text DEFAULT ''scheduled''::text',
        'integer',
        'plpgsql',
        'volatile',
        'enable_seqscan=off',
        '73b365207906fdf33347f0c9a48facc6'
    )
), function AS (
    SELECT
        wanted.*,
        p.*,
        l.lanname,
        pg_get_function_arguments(p.oid) AS arguments_now,
        pg_get_function_result(p.oid) AS returns_now,
        quote_ident(n.nspname) AS schema,
        (SELECT substring(s FROM '^search_path=(.*)$') FROM unnest(p.proconfig) AS s WHERE s LIKE 'search_path=%') AS path_now,
        coalesce((SELECT string_agg(s, ', ' ORDER BY s) FROM unnest(p.proconfig) AS s WHERE s NOT LIKE 'search_path=%'), 'none') AS settings_now
    FROM wanted
    LEFT JOIN pg_proc AS p ON p.oid = to_regprocedure(wanted.signature)
    LEFT JOIN pg_language AS l ON l.oid = p.prolang
    LEFT JOIN pg_namespace AS n ON n.oid = p.pronamespace
)
SELECT
    'function ' || function.signature AS object,
    fact.expected AS expected,
    fact.found AS found
FROM function
CROSS JOIN LATERAL (
    VALUES
        (1, 'present', CASE WHEN oid IS NULL THEN 'missing' ELSE 'present' END),
        (2, 'arguments ' || arguments, 'arguments ' || arguments_now),
        (3, 'returns ' || returns, 'returns ' || returns_now),
        (4, language || ', ' || volatility, lanname || ', ' || CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END),
        (5, 'with the rights of its caller', 'with the rights of its ' || CASE WHEN prosecdef THEN 'owner' ELSE 'caller' END),
        (6, 'search_path ' || schema || ', pg_temp', 'search_path ' || coalesce(path_now, 'of the caller')),
        (7, 'settings ' || settings, 'settings ' || settings_now),
        (8, 'body ' || body, 'body ' || md5(prosrc))
) AS fact (position, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected AND (fact.position = 1 OR oid IS NOT NULL)
ORDER BY fact.position;
