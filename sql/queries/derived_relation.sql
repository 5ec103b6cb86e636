-- The relation of a name in the schema where a CREATE would put it
SELECT c.oid::bigint AS oid,
       c.oid::regclass::text AS name,
       c.relkind::text AS kind
  FROM pg_class AS c
 WHERE c.relname = %(name)s
   AND c.relnamespace = CASE WHEN %(schema)s::text IS NULL THEN to_regnamespace(quote_ident(current_schema()))
                             ELSE to_regnamespace(quote_ident(%(schema)s::text)) END;
