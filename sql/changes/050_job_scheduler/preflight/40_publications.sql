-- New tables of this schema are replicated at once
-- effect: Subscribers that do not have the tables stop with "logical replication target relation does not exist", and the
--   slot keeps WAL here until somebody notices.
-- remedy: Run the steps on the subscribers first, leave the scheduler switched off there, and refresh the subscriptions
--   afterwards; or publish chosen tables.
-- severity: warn

SELECT
    p.pubname AS publication,
    'chosen tables' AS expected,
    CASE WHEN p.puballtables THEN 'all tables' ELSE 'all tables of schema ' || current_schema() END AS found
FROM pg_publication AS p
WHERE p.puballtables
   OR EXISTS (
        SELECT
        FROM pg_publication_namespace AS s
        WHERE s.pnpubid = p.oid AND s.pnnspid::regnamespace = to_regnamespace(quote_ident(current_schema()))
   )
ORDER BY p.pubname;
