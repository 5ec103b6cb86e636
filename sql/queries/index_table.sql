-- The table of an index by its name
SELECT i.indrelid::regclass::text AS on_table
  FROM pg_index AS i
 WHERE i.indexrelid = to_regclass(%(index)s);
