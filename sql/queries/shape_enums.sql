-- Every enum with its labels in their order; system schemas and the ledger's are left out
SELECT t.oid::regtype::text AS name,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels,
       coalesce(obj_description(t.oid, 'pg_type'), '') AS comment
  FROM pg_type AS t
  JOIN pg_namespace AS n ON n.oid = t.typnamespace
 WHERE t.typtype = 'e'
   AND n.nspname <> 'information_schema' AND n.nspname <> 'pgrunbook' AND n.nspname !~ '^pg_'
 ORDER BY t.oid::regtype::text COLLATE "C";
