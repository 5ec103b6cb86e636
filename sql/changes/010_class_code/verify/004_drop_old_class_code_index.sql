-- The old index is gone
-- effect: Every write keeps two indexes on the same column up to date.
-- remedy: Run migrate/004_drop_old_class_code_index.sql again; an interrupted drop leaves the index invalid.

SELECT
    c.relname AS index_name,
    'gone' AS expected,
    CASE WHEN i.indisvalid THEN 'present' ELSE 'present, invalid' END AS found
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass('classes') AND c.relname = 'idx_classes_class_code';
