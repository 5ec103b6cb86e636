-- What is neither table, enum nor function: views, sequences that no column owns, domains, schemas
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                      WHEN 'S' THEN 'sequence' ELSE 'composite type' END AS kind,
       c.oid::regclass::text AS name,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) ELSE '' END AS definition,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('v', 'm', 'f', 'S', 'c')
   AND n.nspname <> 'information_schema' AND n.nspname <> 'pgrunbook' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e')
                      AND d.refclassid = 'pg_class'::regclass)
UNION ALL
SELECT 'domain', t.oid::regtype::text,
       concat_ws(' ', format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
                 (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname)
                    FROM pg_constraint AS k
                   WHERE k.contypid = t.oid AND k.contype = 'c')),
       coalesce(obj_description(t.oid, 'pg_type'), '')
  FROM pg_type AS t
  JOIN pg_namespace AS n ON n.oid = t.typnamespace
 WHERE t.typtype = 'd'
   AND n.nspname <> 'information_schema' AND n.nspname <> 'pgrunbook' AND n.nspname !~ '^pg_'
UNION ALL
SELECT 'schema', quote_ident(n.nspname), '', coalesce(obj_description(n.oid, 'pg_namespace'), '')
  FROM pg_namespace AS n
 WHERE n.nspname NOT IN ('information_schema', 'pgrunbook', 'public') AND n.nspname !~ '^pg_';
