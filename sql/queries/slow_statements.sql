-- The statements of this database that took longest on average; the schema of the view stands in search_path
SELECT s.calls AS calls,
       s.mean_exec_time::float8 AS mean_ms,
       s.max_exec_time::float8 AS max_ms,
       s.total_exec_time::float8 AS total_ms,
       s.rows AS rows,
       s.query AS statement
  FROM pg_stat_statements AS s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND strpos(lower(s.query), lower(%(text)s)) > 0
 ORDER BY s.mean_exec_time DESC, s.query
 LIMIT %(most)s;
