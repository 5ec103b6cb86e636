-- New tables of this schema are open to other roles by default
-- effect: These roles get more than step 027 grants, and at once: row security holds them, TRUNCATE is refused, and
--   027 takes TRIGGER and REFERENCES away, which would pass both lock and tenants.
-- remedy: Look whether they need it (Supabase's service_role does), and REVOKE the rest from the nine tables afterwards.
-- severity: warn

SELECT
    CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END AS role,
    coalesce('schema ' || quote_ident(n.nspname), 'every schema') AS new_tables_of,
    string_agg(acl.privilege_type, ', ' ORDER BY acl.privilege_type) AS privileges
FROM pg_default_acl AS d
LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL aclexplode(d.defaclacl) AS acl
WHERE d.defaclrole = current_user::regrole
  AND d.defaclobjtype = 'r'
  AND (n.oid IS NULL OR n.nspname = current_schema())
  AND acl.grantee <> d.defaclrole
GROUP BY acl.grantee, n.nspname
ORDER BY role, new_tables_of;
