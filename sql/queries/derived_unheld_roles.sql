-- Roles that may log in and that row security of a table does not hold for
SELECT r.rolname::text AS role,
       concat_ws(', ', CASE WHEN r.rolsuper THEN 'superuser' END,
                 CASE WHEN r.rolbypassrls AND NOT r.rolsuper THEN 'BYPASSRLS' END,
                 CASE WHEN r.oid = c.relowner AND NOT c.relforcerowsecurity AND NOT %(forced)s THEN 'owner of the table' END) AS why
  FROM pg_class AS c
 CROSS JOIN pg_roles AS r
 WHERE c.oid = to_regclass(%(table)s)
   AND r.rolcanlogin
   AND (r.rolsuper OR r.rolbypassrls OR (r.oid = c.relowner AND NOT c.relforcerowsecurity AND NOT %(forced)s))
 ORDER BY 1;
