-- Every domain with the type below it and its checks; system schemas and the ledger's are left out
SELECT t.oid::regtype::text AS name,
       format_type(t.typbasetype, t.typtypmod) AS type,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', quote_ident(k.conname),
                                                     'definition', pg_get_constraintdef(k.oid))
                                  ORDER BY k.conname), '[]')
          FROM pg_constraint AS k
         WHERE k.contypid = t.oid AND k.contype = 'c') AS checks
  FROM pg_type AS t
  JOIN pg_namespace AS n ON n.oid = t.typnamespace
 WHERE t.typtype = 'd'
   AND n.nspname <> 'information_schema' AND n.nspname <> 'pgrunbook' AND n.nspname !~ '^pg_'
 ORDER BY t.oid::regtype::text COLLATE "C";
