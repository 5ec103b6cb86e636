-- Class codes are not unique by constraint
-- effect: Nothing would refuse the second class with a code, should a writer or a restored backup get past the guard.
-- remedy: Apply 010_class_code first; it makes the constraint class_code_unique.

SELECT
    'constraint class_code_unique' AS setting,
    'UNIQUE (class_code)' AS expected,
    coalesce(promise.definition, 'missing') AS found
FROM (SELECT to_regclass('classes') AS oid) AS t
LEFT JOIN LATERAL (
    SELECT
        pg_get_constraintdef(c.oid)
        || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' on an invalid index' END AS definition
    FROM pg_constraint AS c
    LEFT JOIN pg_index AS i ON i.indexrelid = c.conindid
    WHERE c.conrelid = t.oid AND c.conname = 'class_code_unique'
) AS promise ON true
WHERE promise.definition IS DISTINCT FROM 'UNIQUE (class_code)';
