-- Tables without a schema in their names that the search path does not find, though one of that name is there
SELECT name
  FROM unnest(%(tables)s::text[]) AS name
 WHERE CASE WHEN cardinality(parse_ident(name)) = 1
            THEN to_regclass(name) IS NULL
             AND EXISTS (SELECT FROM pg_catalog.pg_class AS c
                           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                          WHERE c.relname = (parse_ident(name))[1]
                            AND c.relkind IN ('r', 'p', 'm', 'f')
                            AND n.nspname NOT LIKE 'pg\_%%')
            ELSE false
       END
 ORDER BY name;
