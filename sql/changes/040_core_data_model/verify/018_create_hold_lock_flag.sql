-- The function that reads the lock of a cycle is there
-- effect: A quota could be written after the lock was committed.
-- remedy: Run migrate/018_create_hold_lock_flag.sql again.

WITH wanted_function (signature, returns, volatility, rights, path, open, body) AS (
    VALUES
        ('hold_lock_flag(uuid, uuid)', 'boolean', 'volatile', 'caller', NULL, 'yes', 'd2c3648587c5cbb6795540776cedbc21')
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
) AS fact
ORDER BY fact.object, fact.expected;
