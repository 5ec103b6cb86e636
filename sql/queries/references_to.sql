-- The foreign keys that point at a table: whose they are, which columns meet, what happens when a row goes
SELECT r.conname::text AS name,
       r.conrelid::bigint AS child_oid,
       r.conrelid::regclass::text AS child,
       r.confdeltype::text AS on_delete,
       ARRAY(SELECT a.attname::text
               FROM unnest(r.conkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute AS a ON a.attrelid = r.conrelid AND a.attnum = k.attnum
              ORDER BY k.place) AS columns,
       ARRAY(SELECT a.attname::text
               FROM unnest(r.confkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_attribute AS a ON a.attrelid = r.confrelid AND a.attnum = k.attnum
              ORDER BY k.place) AS referred,
       EXISTS (SELECT
                 FROM pg_index AS i
                WHERE i.indrelid = r.conrelid AND i.indisvalid AND i.indpred IS NULL
                  AND i.indkey[0] = ANY (r.conkey)) AS indexed,
       coalesce((to_jsonb(r) ->> 'conperiod')::boolean, false) AS period
  FROM pg_constraint AS r
 WHERE r.contype = 'f' AND r.confrelid = %(oid)s
   -- What a partition of the child inherits is the child's own; a partition named alone inherits what refers to all.
   AND NOT EXISTS (SELECT FROM pg_constraint AS above WHERE above.oid = r.conparentid AND above.confrelid = r.confrelid)
 ORDER BY child, name;
