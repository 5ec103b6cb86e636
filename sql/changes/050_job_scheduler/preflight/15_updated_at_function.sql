-- The trigger function update_updated_at_column() is missing, or is none
-- effect: Step 001 would fail: 42883 where it is missing, 42P17 where it returns something else, 42501 where it may not be
--   used.
-- remedy: Missing: bind to the right database and search_path, or make it as an earlier migration of the application did:
--   CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := now(); RETURN
--   NEW; END'. No privilege: its owner runs GRANT EXECUTE ON FUNCTION ... TO the role that migrates.

SELECT
    'update_updated_at_column()' AS function,
    fact.expected AS expected,
    fact.found AS found
FROM (VALUES (to_regprocedure('update_updated_at_column()'))) AS wanted (oid)
LEFT JOIN pg_proc AS p ON p.oid = wanted.oid
CROSS JOIN LATERAL (
    VALUES
        (1, 'present', CASE WHEN p.oid IS NULL THEN 'missing' ELSE 'present' END),
        (2, 'returns trigger', 'returns ' || coalesce(pg_get_function_result(p.oid), 'nothing')),
        (
            3,
            current_user || ' may use it',
            current_user || CASE WHEN has_function_privilege(p.oid, 'EXECUTE') THEN ' may use it' ELSE ' may not use it' END
        )
) AS fact (position, expected, found)
WHERE fact.found <> fact.expected AND (fact.position = 1 OR p.oid IS NOT NULL)
ORDER BY fact.position;
