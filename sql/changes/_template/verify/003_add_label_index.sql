-- A complete index on label is there
-- effect: Lookups by label read the whole table.
-- remedy: Drop the index with rollback/003_add_label_index.sql, then run migrate/003_add_label_index.sql again.

SELECT
    'idx_example_label' AS index_name,
    'valid' AS expected,
    CASE WHEN i.indexrelid IS NULL THEN 'missing' ELSE 'invalid' END AS found
FROM (SELECT to_regclass('example') AS oid) AS t
LEFT JOIN (
    pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid AND c.relname = 'idx_example_label'
) ON i.indrelid = t.oid
WHERE i.indisvalid IS NOT TRUE;
