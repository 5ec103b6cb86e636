-- About how large an index on these columns gets: 12 bytes a row and the keys, in pages that are nine tenths full
WITH RECURSIVE part AS (
    SELECT to_regclass(%(table)s)::oid AS oid
     UNION
    SELECT i.inhrelid
      FROM part AS p
      JOIN pg_inherits AS i ON i.inhparent = p.oid
      JOIN pg_class AS c ON c.oid = i.inhparent AND c.relkind = 'p'
), held AS (
    SELECT c.oid, c.relname, c.relnamespace::regnamespace::text AS schema, greatest(c.reltuples, 0) AS rows
      FROM part AS p
      JOIN pg_class AS c ON c.oid = p.oid
     WHERE c.relkind IN ('r', 'm')
), sized AS (
    SELECT h.rows,
           pg_table_size(h.oid) AS bytes,
           -- A column that was never analysed is taken for 8 bytes, an expression for 16.
           (SELECT sum(8 * ceil(coalesce((SELECT max(s.avg_width) FROM pg_stats AS s
                                           WHERE s.schemaname = n.nspname AND s.tablename = h.relname AND s.attname = w.name), 8) / 8.0))
              FROM unnest(%(columns)s::text[]) AS w (name)) AS width
      FROM held AS h
      JOIN pg_class AS c ON c.oid = h.oid
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
)
SELECT %(table)s::text AS "table",
       sum(rows)::bigint AS rows_about,
       pg_size_pretty(sum(bytes)) AS table_size,
       pg_size_pretty((sum(rows * (12 + coalesce(width, 0) + 16 * %(expressions)s::int)) / 0.9)::bigint) AS index_size_about
  FROM sized
HAVING count(*) > 0;
