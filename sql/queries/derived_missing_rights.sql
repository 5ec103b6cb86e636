-- What would let this role read tables, and try things on an empty copy of them
WITH asked AS (
    SELECT c.oid, n.oid AS schema, n.nspname AS schema_name
      FROM unnest(%(schemas)s::text[], %(tables)s::text[]) AS a (schema, name)
      JOIN pg_class AS c ON c.relname = a.name
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = a.schema OR (a.schema IS NULL AND pg_table_is_visible(c.oid))
)
SELECT 1 AS place, format('GRANT USAGE ON SCHEMA %%I TO %%I', schema_name, current_user) AS remedy
  FROM asked
 WHERE NOT has_schema_privilege(schema, 'USAGE')
UNION
SELECT 2, format('GRANT SELECT ON %%s TO %%I', oid::regclass, current_user)
  FROM asked
 WHERE NOT has_table_privilege(oid, 'SELECT')
UNION
SELECT 3, format('a role that the policies of %%s do not hold for, or one with BYPASSRLS', oid::regclass)
  FROM asked
 WHERE has_table_privilege(oid, 'SELECT') AND row_security_active(oid)
UNION
SELECT 4, format('GRANT TEMPORARY ON DATABASE %%I TO %%I', current_database(), current_user)
 WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
   AND NOT EXISTS (SELECT FROM asked WHERE NOT has_table_privilege(oid, 'SELECT') OR row_security_active(oid))
 ORDER BY 1, 2;
