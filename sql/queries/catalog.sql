-- Everything that a schema change can make, as comparable lines; the ledger's own schema is left out
WITH spaces AS (
    SELECT oid, nspname
      FROM pg_namespace
     WHERE nspname <> 'information_schema' AND nspname <> 'pgrunbook' AND nspname !~ '^pg_'
),
relations AS (
    SELECT c.*, quote_ident(s.nspname) || '.' || quote_ident(c.relname) AS full_name
      FROM pg_class AS c
      JOIN spaces AS s ON s.oid = c.relnamespace
)
SELECT 'schema' AS kind, quote_ident(nspname) AS name, '' AS definition
  FROM spaces
UNION ALL
SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                    WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'relation ' || relkind::text END,
       full_name,
       concat_ws(' ', 'owner', pg_get_userbyid(relowner), 'acl', relacl::text, 'options', reloptions::text,
                 CASE WHEN relrowsecurity THEN 'row security' END, CASE WHEN relforcerowsecurity THEN 'forced' END,
                 CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END)
  FROM relations
 WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL
SELECT 'column', r.full_name || '.' || quote_ident(a.attname),
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                 'default ' || pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity::text, ''), nullif(a.attgenerated::text, ''),
                 'acl ' || a.attacl::text)
  FROM relations AS r
  JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f')
UNION ALL
SELECT 'index', r.full_name,
       concat_ws(' ', pg_get_indexdef(r.oid), CASE WHEN i.indisvalid THEN 'valid' ELSE 'INVALID' END,
                 CASE WHEN i.indisreplident THEN 'replica identity' END)
  FROM relations AS r
  JOIN pg_index AS i ON i.indexrelid = r.oid
UNION ALL
SELECT 'constraint', r.full_name || ' ' || quote_ident(c.conname),
       concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN c.convalidated THEN 'valid' ELSE 'not valid' END)
  FROM relations AS r
  JOIN pg_constraint AS c ON c.conrelid = r.oid
UNION ALL
SELECT 'sequence', r.full_name,
       concat_ws(' ', 'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
                 'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, CASE WHEN s.seqcycle THEN 'cycle' END,
                 'owned by ' || (SELECT d.refobjid::regclass::text || '.' || d.refobjsubid
                                   FROM pg_depend AS d
                                  WHERE d.objid = r.oid AND d.classid = 'pg_class'::regclass
                                    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
  FROM relations AS r
  JOIN pg_sequence AS s ON s.seqrelid = r.oid
UNION ALL
SELECT 'trigger', r.full_name || ' ' || quote_ident(t.tgname), concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled::text)
  FROM relations AS r
  JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT 'policy', r.full_name || ' ' || quote_ident(p.polname),
       concat_ws(' ', p.polcmd::text, CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
                 ARRAY(SELECT CASE o WHEN 0 THEN 'public' ELSE pg_get_userbyid(o) END FROM unnest(p.polroles) AS o ORDER BY 1)::text,
                 'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
  FROM relations AS r
  JOIN pg_policy AS p ON p.polrelid = r.oid
UNION ALL
SELECT 'function', p.oid::regprocedure::text,
       concat_ws(' ', CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE p.prokind::text END,
                 'owner', pg_get_userbyid(p.proowner), 'acl', p.proacl::text)
  FROM pg_proc AS p
  JOIN spaces AS s ON s.oid = p.pronamespace
UNION ALL
SELECT 'type', t.oid::regtype::text,
       concat_ws(' ', t.typtype::text, ARRAY(SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)::text,
                 ARRAY(SELECT pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.contypid = t.oid ORDER BY 1)::text)
  FROM pg_type AS t
  JOIN spaces AS s ON s.oid = t.typnamespace
 WHERE t.typtype IN ('e', 'd', 'r')
UNION ALL
SELECT 'comment', concat_ws(' ', o.type, o.identity), d.description
  FROM pg_description AS d
 CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS o
 WHERE o.schema IN (SELECT nspname FROM spaces)
UNION ALL
SELECT 'extension', quote_ident(extname), extversion
  FROM pg_extension
 ORDER BY 1, 2, 3;
