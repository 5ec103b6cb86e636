-- Class codes are unique by constraint
-- effect: Nothing in the schema promises unique class codes, and ON CONFLICT ON CONSTRAINT has no name to use.
-- remedy: Check that verify/002_add_class_code_unique_index.sql passes, then run migrate/003_add_class_code_constraint.sql.

SELECT
    'constraint class_code_unique' AS setting,
    'UNIQUE (class_code)' AS expected,
    coalesce(promise.definition, 'missing') AS found
FROM (SELECT to_regclass('classes') AS oid) AS t
LEFT JOIN LATERAL (
    SELECT pg_get_constraintdef(c.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' on an invalid index' END AS definition
    FROM pg_constraint AS c
    LEFT JOIN pg_index AS i ON i.indexrelid = c.conindid
    WHERE c.conrelid = t.oid AND c.conname = 'class_code_unique'
) AS promise ON true
WHERE promise.definition IS DISTINCT FROM 'UNIQUE (class_code)';
