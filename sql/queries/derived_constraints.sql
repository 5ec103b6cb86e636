-- The constraints of a table, as far as asking for rows that break them needs it: that of a name, those that a column
-- takes part in (foreign keys on both of their ends), or all
SELECT c.conname::text AS name,
       c.contype::text AS type,
       c.convalidated AS validated,
       c.connoinherit AS no_inherit,
       pg_get_expr(c.conbin, c.conrelid) AS expression,
       c.conrelid::regclass::text AS child,
       c.conrelid = w.attrelid AS own,
       c.conrelid = w.attrelid AND w.attnum = ANY (c.conkey) AS changed,
       c.confrelid = w.attrelid AND w.attnum = ANY (c.confkey) AS parent_changed,
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
  LEFT JOIN pg_attribute AS w ON w.attrelid = to_regclass(%(table)s) AND w.attname = %(column)s
 WHERE CASE WHEN %(column)s::text IS NULL THEN c.conrelid = to_regclass(%(table)s)
            ELSE c.conrelid = w.attrelid AND w.attnum = ANY (c.conkey)
                 OR c.contype = 'f' AND c.confrelid = w.attrelid AND w.attnum = ANY (c.confkey) END
   AND CASE WHEN %(name)s::text IS NULL
            -- Those of partitions hang on their table's own.
            THEN c.conparentid = 0
            ELSE c.conname = %(name)s END
 ORDER BY 1;
