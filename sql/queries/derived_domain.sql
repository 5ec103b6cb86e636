-- A type that is a domain, with the default that it gives
SELECT coalesce(pg_get_expr(t.typdefaultbin, 0), '') AS "default"
  FROM pg_type AS t
 WHERE t.oid = to_regtype(%(type)s)
   AND t.typtype = 'd';
