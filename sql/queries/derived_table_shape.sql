-- How the table that is there differs from one that was made just now: columns and constraints, foreign keys left out
WITH asked (side, oid) AS (
    VALUES ('found', %(found)s::bigint::oid), ('expected', to_regclass(%(expected)s)::oid)
), facts AS (
    SELECT s.side, 'column ' || a.attname AS of,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                     CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || a.attcollation::regcollation END,
                     CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                     -- A serial column's default names its sequence, which is another one in a copy.
                     'default ' || CASE WHEN pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%' THEN 'nextval(...)'
                                        ELSE pg_get_expr(d.adbin, d.adrelid) END,
                     CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity' END,
                     CASE a.attgenerated WHEN '' THEN NULL ELSE 'generated' END) AS definition
      FROM asked AS s
      JOIN pg_attribute AS a ON a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type AS t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT s.side, 'constraint ' || c.conname, pg_get_constraintdef(c.oid)
      FROM asked AS s
      JOIN pg_constraint AS c ON c.conrelid = s.oid AND c.contype IN ('c', 'u', 'p', 'x')
)
SELECT coalesce(f.of, e.of) AS of,
       coalesce(e.definition, 'none') AS expected,
       coalesce(f.definition, 'none') AS found
  FROM (SELECT * FROM facts WHERE side = 'found') AS f
  FULL JOIN (SELECT * FROM facts WHERE side = 'expected') AS e ON e.of = f.of
 WHERE f.definition IS DISTINCT FROM e.definition
 ORDER BY 1;
