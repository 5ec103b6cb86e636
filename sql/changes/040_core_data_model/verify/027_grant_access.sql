-- The application may do what it needs, and nothing else
-- effect: The application would be refused, or could do to the audit log or to a lock what nobody may.
-- remedy: Run migrate/027_grant_access.sql again; take away by hand what was granted beside it.

WITH wanted (role_name, table_name, privileges) AS (
    SELECT 'app_user', eight.name, 'DELETE, INSERT, SELECT, UPDATE'
    FROM unnest(
        ARRAY['vision', 'cycle', 'goal', 'weekly_plan', 'task', 'plan_item', 'chat_session', 'chat_message']
    ) AS eight (name)
    UNION ALL
    VALUES ('app_user', 'audit_log', 'SELECT'), ('lock_admin', 'cycle', 'SELECT, UPDATE (lock_enforced)')
), granted (role_name, table_name, privilege) AS (
    SELECT r.rolname::text, c.oid, acl.privilege_type
    FROM pg_class AS c
    CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
    JOIN pg_roles AS r ON r.oid = acl.grantee
    WHERE c.relkind = 'r'
    UNION ALL
    SELECT r.rolname::text, a.attrelid, acl.privilege_type || ' (' || a.attname || ')'
    FROM pg_attribute AS a
    CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
    JOIN pg_roles AS r ON r.oid = acl.grantee
)
SELECT
    wanted.role_name || ' on ' || wanted.table_name AS object,
    wanted.privileges AS expected,
    coalesce(found.privileges, 'nothing') AS found
FROM wanted
CROSS JOIN LATERAL (
    SELECT string_agg(granted.privilege, ', ' ORDER BY granted.privilege COLLATE "C") AS privileges
    FROM granted
    WHERE granted.role_name = wanted.role_name AND granted.table_name = to_regclass(wanted.table_name)
) AS found
WHERE found.privileges IS DISTINCT FROM wanted.privileges
UNION ALL
SELECT
    CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END || ' on ' || ours.name,
    'no trigger and no foreign key',
    string_agg(acl.privilege_type, ', ' ORDER BY acl.privilege_type)
FROM unnest(
    ARRAY['vision', 'cycle', 'goal', 'weekly_plan', 'task', 'plan_item', 'chat_session', 'chat_message', 'audit_log']
) AS ours (name)
JOIN pg_class AS c ON c.oid = to_regclass(ours.name)
CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
WHERE acl.grantee <> c.relowner AND acl.privilege_type IN ('TRIGGER', 'REFERENCES')
GROUP BY acl.grantee, ours.name
ORDER BY object;
