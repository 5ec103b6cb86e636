-- Who owns the ledger, and whether the role that asks may act as they may; no row: there is no ledger
WITH place AS (
    SELECT oid, nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'pgrunbook'
), owners AS (
    SELECT nspowner AS owner FROM place
     UNION
    SELECT c.relowner FROM place AS p JOIN pg_catalog.pg_class AS c ON c.relnamespace = p.oid
     UNION
    SELECT f.proowner FROM place AS p JOIN pg_catalog.pg_proc AS f ON f.pronamespace = p.oid
)
SELECT pg_get_userbyid(owner)::text AS owner,
       pg_has_role(owner, 'USAGE') AS inherits,
       pg_has_role(owner, 'MEMBER') AS member,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = owner) AS superuser
  FROM owners
 ORDER BY 1;
