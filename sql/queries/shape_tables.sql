-- Every table with all that belongs to it, one row a table; system schemas and the ledger's are left out
WITH keys AS (
    SELECT k.*,
           jsonb_build_object(
               'name', quote_ident(k.conname),
               'columns', ARRAY(SELECT quote_ident(a.attname)
                                  FROM unnest(k.conkey) WITH ORDINALITY AS r (attnum, place)
                                  JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = r.attnum
                                 ORDER BY r.place),
               'definition', pg_get_constraintdef(k.oid),
               'comment', coalesce(obj_description(k.oid, 'pg_constraint'), '')) AS words
      FROM pg_constraint AS k
     WHERE k.conrelid <> 0
)
SELECT c.oid::regclass::text AS name,
       quote_ident(n.nspname) AS schema,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
       c.relrowsecurity AS row_security,
       c.relforcerowsecurity AS forced,
       ARRAY(SELECT concat(g.grantee, ': ', string_agg(g.privilege, ', ' ORDER BY g.privilege COLLATE "C"))
               FROM (SELECT CASE x.grantee WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee,
                            x.privilege_type AS privilege
                       FROM aclexplode(c.relacl) AS x
                      WHERE x.grantee <> c.relowner
                      UNION ALL
                     SELECT CASE x.grantee WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                            concat(x.privilege_type, ' (', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), ')')
                       FROM pg_attribute AS a
                      CROSS JOIN LATERAL aclexplode(a.attacl) AS x
                      WHERE a.attrelid = c.oid AND NOT a.attisdropped AND x.grantee <> c.relowner
                      GROUP BY x.grantee, x.privilege_type) AS g
              GROUP BY g.grantee
              ORDER BY g.grantee COLLATE "C") AS grants,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', quote_ident(a.attname),
                   'type', format_type(a.atttypid, a.atttypmod),
                   'kind', b.typname,
                   'nullable', NOT (a.attnotnull OR t.typnotnull),
                   'default', coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
                   'comment', coalesce(col_description(c.oid, a.attnum), ''),
                   'length', CASE WHEN b.typname IN ('varchar', 'bpchar') AND m.typmod > 4 THEN m.typmod - 4 END,
                   'enum', CASE WHEN b.typtype = 'e' THEN b.oid::regtype::text ELSE '' END,
                   'domain', CASE WHEN t.typtype = 'd' THEN t.oid::regtype::text ELSE '' END,
                   'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' ELSE '' END,
                   'generated', CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' ELSE '' END)
                   ORDER BY a.attnum), '[]')
          FROM pg_attribute AS a
          JOIN pg_type AS t ON t.oid = a.atttypid
          JOIN pg_type AS b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
          LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         CROSS JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod) AS m
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT k.words FROM keys AS k WHERE k.conrelid = c.oid AND k.contype = 'p') AS primary_key,
       (SELECT coalesce(jsonb_agg(k.words ORDER BY k.conname), '[]')
          FROM keys AS k
         WHERE k.conrelid = c.oid AND k.contype = 'u') AS uniques,
       (SELECT coalesce(jsonb_agg(k.words || jsonb_build_object(
                   'table', k.confrelid::regclass::text,
                   'referred', ARRAY(SELECT quote_ident(a.attname)
                                       FROM unnest(k.confkey) WITH ORDINALITY AS r (attnum, place)
                                       JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = r.attnum
                                      ORDER BY r.place),
                   'on_delete', w.words ->> k.confdeltype::text,
                   'on_update', w.words ->> k.confupdtype::text)
                   ORDER BY k.conname), '[]')
          FROM keys AS k
         CROSS JOIN (SELECT '{"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL",
                              "d": "SET DEFAULT"}'::jsonb AS words) AS w
         -- A foreign key to a partitioned table has one more for each partition.
         WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0) AS foreign_keys,
       (SELECT coalesce(jsonb_agg(k.words || jsonb_build_object('validated', k.convalidated) ORDER BY k.conname), '[]')
          FROM keys AS k
         WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks,
       (SELECT coalesce(jsonb_agg(k.words || jsonb_build_object('validated', k.convalidated) ORDER BY k.conname), '[]')
          FROM keys AS k
         WHERE k.conrelid = c.oid AND k.contype = 'x') AS exclusions,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', quote_ident(r.relname),
                   'parts', ARRAY(SELECT pg_get_indexdef(i.indexrelid, p::int, true)
                                    FROM generate_series(1, i.indnkeyatts) AS p
                                   ORDER BY p),
                   'columns', ARRAY(SELECT quote_ident(a.attname)
                                      FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
                                      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
                                     ORDER BY k.place),
                   'unique', i.indisunique,
                   'definition', pg_get_indexdef(i.indexrelid),
                   'predicate', coalesce(pg_get_expr(i.indpred, c.oid), ''),
                   'constraint', coalesce((SELECT quote_ident(o.conname)
                                             FROM pg_constraint AS o
                                            WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')), ''),
                   'valid', i.indisvalid,
                   'comment', coalesce(obj_description(i.indexrelid, 'pg_class'), ''))
                   ORDER BY r.relname), '[]')
          FROM pg_index AS i
          JOIN pg_class AS r ON r.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND NOT r.relispartition) AS indexes,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', quote_ident(g.tgname),
                   'fires', substring(pg_get_triggerdef(g.oid) FROM 'TRIGGER (?:"(?:[^"]|"")+"|\S+) (.*) ON '),
                   'function', g.tgfoid::regproc::text,
                   'definition', pg_get_triggerdef(g.oid),
                   'enabled', g.tgenabled <> 'D',
                   'comment', coalesce(obj_description(g.oid, 'pg_trigger'), ''))
                   ORDER BY g.tgname), '[]')
          FROM pg_trigger AS g
         WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS triggers,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', quote_ident(p.polname),
                   'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                            WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                   'permissive', p.polpermissive,
                   'roles', ARRAY(SELECT CASE o WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(o)) END
                                    FROM unnest(p.polroles) AS o
                                   ORDER BY 1),
                   'using', coalesce(pg_get_expr(p.polqual, c.oid), ''),
                   'check', coalesce(pg_get_expr(p.polwithcheck, c.oid), ''),
                   'comment', coalesce(obj_description(p.oid, 'pg_policy'), ''))
                   ORDER BY p.polname), '[]')
          FROM pg_policy AS p
         WHERE p.polrelid = c.oid) AS policies
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND n.nspname <> 'information_schema' AND n.nspname <> 'pgrunbook' AND n.nspname !~ '^pg_'
 ORDER BY c.oid::regclass::text COLLATE "C";
