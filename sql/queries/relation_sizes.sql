-- Tables and their indexes with their sizes in bytes
SELECT c.oid::regclass::text AS name,
       pg_table_size(c.oid) AS table_bytes,
       pg_indexes_size(c.oid) AS index_bytes
  FROM unnest(%(tables)s::text[]) AS t (name)
  JOIN pg_class AS c ON c.oid = to_regclass(t.name)
 ORDER BY name;
