-- Names that the server itself has: roles, types, functions, settings, and the words of SQL
SELECT 'role' AS kind, rolname::text AS name FROM pg_roles
UNION
SELECT 'type', typname::text FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
 WHERE n.nspname = 'pg_catalog' AND t.typtype IN ('b', 'p', 'r') AND t.typcategory <> 'A'
UNION
SELECT 'function', proname::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname = 'pg_catalog'
UNION
SELECT 'setting', name FROM pg_settings
UNION
SELECT 'word', word FROM pg_get_keywords();
