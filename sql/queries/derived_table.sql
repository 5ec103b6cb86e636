-- A relation as checks of a statement on it need to know it: its kind, columns, primary key and size
SELECT c.oid::bigint AS oid,
       c.oid::regclass::text AS name,
       c.relkind::text AS kind,
       EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS has_children,
       pg_get_userbyid(c.relowner)::text AS owner,
       coalesce((SELECT jsonb_object_agg(a.attname,
                                         jsonb_build_object('type', format_type(a.atttypid, a.atttypmod),
                                                            'required', a.attnotnull AND NOT EXISTS (
                                                                -- Since 18 the column says so before all rows are proved.
                                                                SELECT FROM pg_constraint AS n
                                                                 WHERE n.conrelid = c.oid AND n.contype::text = 'n'
                                                                   AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated),
                                                            'composite', t.typcategory = 'C'))
                   FROM pg_attribute AS a
                   JOIN pg_type AS t ON t.oid = a.atttypid
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '{}') AS columns,
       ARRAY(SELECT a.attname::text
               FROM pg_index AS i
              CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
               JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
              WHERE i.indrelid = c.oid AND i.indisprimary AND k.position <= i.indnkeyatts
              ORDER BY k.position) AS key
  FROM pg_class AS c
 WHERE c.oid = to_regclass(%(table)s);
