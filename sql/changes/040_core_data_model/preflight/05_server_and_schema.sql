-- The server or the schema is not ready
-- effect: A step would fail half-way, or the application would not reach the tables, or could put functions of its own
--   beside ours, which whoever migrates or administers would call.
-- remedy: Put the schema first in search_path; its owner runs GRANT CREATE ON SCHEMA ... TO the role that migrates and
--   GRANT USAGE ON SCHEMA ... TO app_user, lock_admin, and REVOKE CREATE ON SCHEMA ... FROM PUBLIC.

SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM (
    SELECT
        1 AS position,
        'server' AS setting,
        'PostgreSQL 15 or newer' AS expected,
        CASE
            WHEN current_setting('server_version_num')::integer >= 150000 THEN 'PostgreSQL 15 or newer'
            ELSE 'PostgreSQL ' || current_setting('server_version')
        END AS found
    UNION ALL
    SELECT
        2,
        'schema that tables are made in',
        'one that ' || current_user || ' may create in',
        CASE
            WHEN current_schema() IS NULL THEN 'none: search_path is ' || current_setting('search_path')
            WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 'one that ' || current_user || ' may create in'
            ELSE current_schema() || ', where ' || current_user || ' may not create'
        END
    UNION ALL
    SELECT
        3,
        r.rolname || ' and schema ' || current_schema(),
        'may use it',
        CASE WHEN has_schema_privilege(r.oid, current_schema(), 'USAGE') THEN 'may use it' ELSE 'may not use it' END
    FROM pg_roles AS r
    WHERE r.rolname IN ('app_user', 'lock_admin') AND current_schema() IS NOT NULL
    UNION ALL
    SELECT
        4,
        r.rolname || ' and schema ' || current_schema(),
        'may create nothing in it',
        CASE WHEN has_schema_privilege(r.oid, current_schema(), 'CREATE') THEN 'may create in it' ELSE 'may create nothing in it' END
    FROM pg_roles AS r
    WHERE r.rolname IN ('app_user', 'lock_admin') AND current_schema() IS NOT NULL AND NOT r.rolsuper
) AS fact
WHERE fact.found <> fact.expected
ORDER BY fact.position, fact.setting;
