-- The server or the schema is not ready
-- effect: A step would fail half-way, or the tables would go with the session that made them.
-- remedy: Put the schema of the application first in search_path; its owner runs GRANT CREATE ON SCHEMA ... TO the role
--   that migrates. A server older than 15 has to be upgraded first.

SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM (
    VALUES
        (
            1,
            'server',
            'PostgreSQL 15 or newer',
            CASE
                WHEN current_setting('server_version_num')::integer >= 150000 THEN 'PostgreSQL 15 or newer'
                ELSE 'PostgreSQL ' || current_setting('server_version')
            END
        ),
        (
            2,
            'schema that tables are made in',
            'one of the application, that ' || current_user || ' may create in',
            CASE
                WHEN current_schema() IS NULL THEN 'none: search_path is ' || current_setting('search_path')
                WHEN current_schema() ~ '^pg_' THEN current_schema() || ', as search_path is ' || current_setting('search_path')
                WHEN NOT has_schema_privilege(current_schema(), 'CREATE') THEN current_schema() || ', where ' || current_user || ' may not create'
                ELSE 'one of the application, that ' || current_user || ' may create in'
            END
        )
) AS fact (position, setting, expected, found)
WHERE fact.found <> fact.expected
ORDER BY fact.position;
