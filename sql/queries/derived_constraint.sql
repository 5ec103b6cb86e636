-- A constraint of a table, as far as validating it needs it
SELECT c.contype::text AS type,
       c.convalidated AS validated,
       c.connoinherit AS no_inherit,
       pg_get_expr(c.conbin, c.conrelid) AS expression,
       ARRAY(SELECT a.attname::text
               FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, position)
               JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
              ORDER BY k.position) AS columns,
       c.confrelid::regclass::text AS parent,
       ARRAY(SELECT a.attname::text
               FROM unnest(c.confkey) WITH ORDINALITY AS k (attnum, position)
               JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.attnum
              ORDER BY k.position) AS parent_columns,
       c.confmatchtype = 'f' AS match_full,
       (SELECT p.relkind <> 'p' FROM pg_class AS p WHERE p.oid = c.confrelid) AS parent_only
  FROM pg_constraint AS c
 WHERE c.conrelid = to_regclass(%(table)s)
   AND c.conname = %(name)s;
