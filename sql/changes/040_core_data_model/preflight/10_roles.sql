-- The roles of the application are missing, or can do too much
-- effect: The last step would fail; or row security and the lock would hold for nobody.
-- remedy: Roles belong to the whole server, so an administrator makes them: CREATE ROLE app_user NOLOGIN; CREATE ROLE
--   lock_admin NOLOGIN; then GRANT app_user TO the role that the application connects as (on Supabase: authenticated).

SELECT
    'role ' || wanted.name AS object,
    fact.expected AS expected,
    fact.found AS found
FROM (VALUES ('app_user'), ('lock_admin')) AS wanted (name)
LEFT JOIN pg_roles AS r ON r.rolname = wanted.name
LEFT JOIN pg_roles AS admin ON admin.rolname = 'lock_admin'
CROSS JOIN LATERAL (
    VALUES
        ('present', CASE WHEN r.oid IS NULL THEN 'missing' ELSE 'present' END),
        (
            'bound by row security',
            CASE
                WHEN r.rolsuper THEN 'a superuser'
                WHEN r.rolbypassrls THEN 'beside row security (BYPASSRLS)'
                ELSE 'bound by row security'
            END
        ),
        (
            'no member of lock_admin',
            CASE
                WHEN r.rolname = 'app_user' AND pg_has_role(r.oid, admin.oid, 'MEMBER') THEN 'a member of lock_admin'
                ELSE 'no member of lock_admin'
            END
        )
) AS fact (expected, found)
WHERE fact.found <> fact.expected
ORDER BY object, fact.expected;
