-- The function that writes the audit log is there
-- effect: Nothing would be written, or entries could be forged.
-- remedy: Run migrate/025_create_write_audit_log.sql again.

WITH wanted_function (signature, returns, volatility, rights, path, open, body) AS (
    VALUES
        ('write_audit_log()', 'trigger', 'volatile', 'owner', NULL, 'no', '22eaab056479176c660f46926e5ab2b5')
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
