-- Tables that the change names are not there
-- effect: its steps would fail at the first statement
-- remedy: check the database, the schema and search_path of the target
SELECT t.name AS missing_table,
       current_setting('search_path') AS search_path
  FROM unnest(%(tables)s::text[]) AS t (name)
 WHERE to_regclass(t.name) IS NULL
 ORDER BY 1;
