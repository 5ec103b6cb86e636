-- The policies of a table
SELECT p.polname::text AS policy
  FROM pg_policy AS p
 WHERE p.polrelid = to_regclass(%(table)s)
 ORDER BY 1;
