-- Invalid indexes on the tables of the change
-- severity: warn
-- effect: writes pay for them and no query uses them; a build of the same name would be refused
-- remedy: DROP INDEX CONCURRENTLY each of them, unless a session is building it now
SELECT c.oid::regclass::text AS index,
       i.indrelid::regclass::text AS on_table,
       i.indisready AS takes_writes
  FROM unnest(%(tables)s::text[]) AS t (name)
  JOIN pg_index AS i ON i.indrelid = to_regclass(t.name)
  JOIN pg_class AS c ON c.oid = i.indexrelid
 WHERE NOT i.indisvalid
 ORDER BY 1;
