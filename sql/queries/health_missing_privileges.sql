-- The role lacks privileges that the change needs
-- effect: a step would fail half-way through the change
-- remedy: connect as the owner of the tables, or let an administrator grant what is listed
SELECT p.object AS object, p.needs AS needs, p.role AS role
  FROM (
        SELECT c.oid::regclass::text AS object,
               'membership of its owner ' || quote_ident(pg_get_userbyid(c.relowner)) AS needs,
               current_user::text AS role
          FROM unnest(%(tables)s::text[]) AS t (name)
          JOIN pg_class AS c ON c.oid = to_regclass(t.name)
         WHERE NOT pg_has_role(current_user, c.relowner, 'USAGE')
        UNION ALL
        SELECT DISTINCT 'schema ' || c.relnamespace::regnamespace, 'CREATE', current_user::text
          FROM unnest(%(tables)s::text[]) AS t (name)
          JOIN pg_class AS c ON c.oid = to_regclass(t.name)
         WHERE NOT has_schema_privilege(c.relnamespace, 'CREATE')
        UNION ALL
        SELECT 'database ' || quote_ident(current_database()), 'CREATE, for the ledger''s schema pgrunbook', current_user::text
         WHERE to_regnamespace('pgrunbook') IS NULL
           AND NOT has_database_privilege(current_database(), 'CREATE')
        UNION ALL
        SELECT 'schema pgrunbook', 'membership of its owner ' || quote_ident(pg_get_userbyid(n.nspowner)), current_user::text
          FROM pg_namespace AS n
         WHERE n.nspname = 'pgrunbook'
           AND NOT pg_has_role(current_user, n.nspowner, 'USAGE')
       ) AS p
 ORDER BY 1, 2;
