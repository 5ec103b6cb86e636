-- Whether pg_stat_statements can be asked here: its files, its schema, its version, its columns
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') AS shipped,
       coalesce(n.nspname::text, '') AS schema,
       coalesce(e.extversion, '') AS version,
       EXISTS (
           SELECT FROM pg_attribute AS a
             JOIN pg_class AS c ON c.oid = a.attrelid
            WHERE c.relname = 'pg_stat_statements' AND c.relnamespace = n.oid AND a.attname = 'mean_exec_time'
       ) AS has_mean
  FROM (SELECT 1) AS one
  LEFT JOIN pg_extension AS e ON e.extname = 'pg_stat_statements'
  LEFT JOIN pg_namespace AS n ON n.oid = e.extnamespace;
