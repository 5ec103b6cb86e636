-- A table as a repair has to know it: its kind, key, columns, and what else would act when its rows change
SELECT c.oid::bigint AS oid,
       c.relkind::text AS kind,
       c.relpersistence = 't' AS temporary,
       c.relname::text AS bare_name,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS full_name,
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS has_heirs,
       row_security_active(c.oid) AS hides_rows,
       ARRAY(SELECT a.attname::text
               FROM pg_index AS i
              CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
              WHERE i.indrelid = c.oid AND i.indisprimary
              ORDER BY k.place) AS primary_key,
       ARRAY(SELECT t.tgname::text
               FROM pg_trigger AS t
              WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 > 0
              ORDER BY t.tgname) AS on_update,
       ARRAY(SELECT t.tgname::text
               FROM pg_trigger AS t
              WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 8 > 0
              ORDER BY t.tgname) AS on_delete,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', a.attname,
                   'type', b.typname,
                   'category', b.typcategory,
                   'longest', CASE WHEN b.typname IN ('varchar', 'bpchar') AND m.typmod > 4 THEN m.typmod - 4 END,
                   'not_null', a.attnotnull OR t.typnotnull,
                   'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
                   'identity', a.attidentity = 'a',
                   'refers', coalesce((SELECT min(r.conname)
                                         FROM pg_constraint AS r
                                        WHERE r.conrelid = c.oid AND r.contype = 'f' AND a.attnum = ANY (r.conkey)), ''),
                   'referred', coalesce((SELECT min(r.conrelid::regclass::text)
                                           FROM pg_constraint AS r
                                          WHERE r.confrelid = c.oid AND r.contype = 'f'
                                            AND a.attnum = ANY (r.confkey)), ''))
                   ORDER BY a.attnum), '[]')
          FROM pg_attribute AS a
          JOIN pg_type AS t ON t.oid = a.atttypid
          JOIN pg_type AS b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
          LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         CROSS JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod) AS m
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(%(table)s);
