-- Everything that a schema change can make, as comparable lines; the ledger's own schema is left out
WITH spaces AS (
    SELECT *
      FROM pg_namespace
     WHERE nspname <> 'information_schema' AND nspname <> 'pgrunbook' AND nspname !~ '^pg_'
),
relations AS (
    SELECT c.*, quote_ident(s.nspname) || '.' || quote_ident(c.relname) AS full_name
      FROM pg_class AS c
      JOIN spaces AS s ON s.oid = c.relnamespace
),
-- A privilege that was granted and revoked leaves the owner's own privileges written out: they are the default's.
grants (oid, acl, kind, owner) AS (
    SELECT oid, relacl, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner FROM relations
    UNION ALL
    SELECT oid, nspacl, 'n', nspowner FROM spaces
    UNION ALL
    SELECT p.oid, p.proacl, 'f', p.proowner FROM pg_proc AS p JOIN spaces AS s ON s.oid = p.pronamespace
    UNION ALL
    SELECT t.oid, t.typacl, 'T', t.typowner FROM pg_type AS t JOIN spaces AS s ON s.oid = t.typnamespace
),
privileges AS (
    SELECT oid, kind,
           concat_ws(' ', 'owner', pg_get_userbyid(owner), 'acl',
                     ARRAY(SELECT a::text FROM unnest(coalesce(acl, acldefault(kind, owner))) AS a ORDER BY 1)::text) AS words
      FROM grants
)
SELECT 'schema' AS kind, quote_ident(s.nspname) AS name, p.words AS definition
  FROM spaces AS s
  JOIN privileges AS p ON p.oid = s.oid AND p.kind = 'n'
UNION ALL
SELECT CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'composite type'
                      ELSE 'relation ' || r.relkind::text END,
       r.full_name,
       concat_ws(' ', p.words, 'options', r.reloptions::text, nullif(r.relpersistence, 'p')::text,
                 'replica identity ' || nullif(nullif(r.relreplident, 'd'), 'n')::text,
                 'in ' || ARRAY(SELECT i.inhparent::regclass::text FROM pg_inherits AS i WHERE i.inhrelid = r.oid ORDER BY i.inhseqno)::text,
                 pg_get_expr(r.relpartbound, r.oid), 'by ' || CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
                 CASE WHEN r.relrowsecurity THEN 'row security' END, CASE WHEN r.relforcerowsecurity THEN 'forced' END,
                 CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END)
  FROM relations AS r
  JOIN privileges AS p ON p.oid = r.oid AND p.kind IN ('r', 's')
 WHERE r.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
UNION ALL
SELECT 'column', r.full_name || '.' || quote_ident(a.attname),
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || a.attcollation::regcollation END,
                 CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                 'default ' || pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity::text, ''), nullif(a.attgenerated::text, ''),
                 'storage ' || CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
                 'statistics ' || nullif(a.attstattarget, -1),
                 -- A stamp of the server's own (15.20), new with every table, which pg_dump leaves out too.
                 'options ' || nullif(ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_attver=')::text, '{}'),
                 'acl ' || nullif(ARRAY(SELECT c::text FROM unnest(a.attacl) AS c ORDER BY 1)::text, '{}'))
  FROM relations AS r
  JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL
SELECT 'index', r.full_name,
       concat_ws(' ', pg_get_indexdef(r.oid), CASE WHEN i.indisvalid THEN 'valid' ELSE 'INVALID' END,
                 CASE WHEN i.indisreplident THEN 'replica identity' END, CASE WHEN i.indisclustered THEN 'clustered' END)
  FROM relations AS r
  JOIN pg_index AS i ON i.indexrelid = r.oid
UNION ALL
SELECT 'statistics', quote_ident(s.nspname) || '.' || quote_ident(e.stxname), pg_get_statisticsobjdef(e.oid)
  FROM pg_statistic_ext AS e
  JOIN spaces AS s ON s.oid = e.stxnamespace
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
SELECT 'rule', r.full_name || ' ' || quote_ident(w.rulename), concat_ws(' ', pg_get_ruledef(w.oid), w.ev_enabled::text)
  FROM relations AS r
  JOIN pg_rewrite AS w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', r.full_name || ' ' || quote_ident(p.polname),
       concat_ws(' ', p.polcmd::text, CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
                 ARRAY(SELECT CASE o WHEN 0 THEN 'public' ELSE pg_get_userbyid(o) END FROM unnest(p.polroles) AS o ORDER BY 1)::text,
                 'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
  FROM relations AS r
  JOIN pg_policy AS p ON p.polrelid = r.oid
UNION ALL
SELECT 'function', f.oid::regprocedure::text,
       concat_ws(' ', CASE WHEN f.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(f.oid) END, p.words)
  FROM pg_proc AS f
  JOIN privileges AS p ON p.oid = f.oid AND p.kind = 'f'
UNION ALL
SELECT 'type', t.oid::regtype::text,
       concat_ws(' ', t.typtype::text, p.words, 'over ' || format_type(nullif(t.typbasetype, 0), t.typtypmod), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
                 'default ' || t.typdefault, 'of ' || (SELECT format_type(g.rngsubtype, NULL) FROM pg_range AS g WHERE g.rngtypid = t.oid),
                 ARRAY(SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)::text,
                 ARRAY(SELECT quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.contypid = t.oid ORDER BY 1)::text)
  FROM pg_type AS t
  JOIN privileges AS p ON p.oid = t.oid AND p.kind = 'T'
 WHERE t.typtype IN ('e', 'd', 'r')
UNION ALL
-- Constraints, triggers, policies and rules have no schema of their own; their identity ends with their table.
SELECT 'comment', concat_ws(' ', o.type, o.identity), d.description
  FROM pg_description AS d
 CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS o
 WHERE o.schema IN (SELECT nspname FROM spaces)
    OR (d.classoid = 'pg_namespace'::regclass AND d.objoid IN (SELECT oid FROM spaces))
    OR (d.classoid = 'pg_constraint'::regclass AND d.objoid IN (SELECT c.oid FROM pg_constraint AS c JOIN spaces AS s ON s.oid = c.connamespace))
    OR (d.classoid = 'pg_trigger'::regclass AND d.objoid IN (SELECT t.oid FROM pg_trigger AS t JOIN relations AS r ON r.oid = t.tgrelid))
    OR (d.classoid = 'pg_policy'::regclass AND d.objoid IN (SELECT p.oid FROM pg_policy AS p JOIN relations AS r ON r.oid = p.polrelid))
    OR (d.classoid = 'pg_rewrite'::regclass AND d.objoid IN (SELECT w.oid FROM pg_rewrite AS w JOIN relations AS r ON r.oid = w.ev_class))
UNION ALL
SELECT 'default privileges', concat_ws(' ', 'of', pg_get_userbyid(a.defaclrole), 'in', n.nspname, 'for', a.defaclobjtype::text),
       ARRAY(SELECT x::text FROM unnest(a.defaclacl) AS x ORDER BY 1)::text
  FROM pg_default_acl AS a
  LEFT JOIN spaces AS n ON n.oid = a.defaclnamespace
UNION ALL
SELECT 'published table', r.full_name, quote_ident(p.pubname)
  FROM relations AS r
  JOIN pg_publication_rel AS l ON l.prrelid = r.oid
  JOIN pg_publication AS p ON p.oid = l.prpubid
UNION ALL
SELECT 'extension', quote_ident(extname), extversion
  FROM pg_extension
 ORDER BY 1, 2, 3;
