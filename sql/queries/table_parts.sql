-- The parts of a table that hold rows (itself, its partitions, its children), with their sizes in bytes
WITH RECURSIVE part AS (
    SELECT to_regclass(%(table)s)::oid AS oid
     UNION
    SELECT i.inhrelid
      FROM part AS p
      JOIN pg_inherits AS i ON i.inhparent = p.oid
)
SELECT c.oid::regclass::text AS name,
       -- The exact size waits for whoever locks the table; the last ANALYZE knew another one.
       CASE WHEN %(exact)s THEN pg_relation_size(c.oid) ELSE greatest(c.relpages, 0)::bigint * b.block END AS bytes,
       b.block AS block
  FROM part AS p
  JOIN pg_class AS c ON c.oid = p.oid
 CROSS JOIN (SELECT current_setting('block_size')::bigint AS block) AS b
 WHERE c.relkind IN ('r', 'm')
 ORDER BY name;
