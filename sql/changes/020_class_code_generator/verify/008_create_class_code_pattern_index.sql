-- A complete index for searches by prefix is there
-- effect: A search by prefix reads the whole table, unless the database's collation is C.
-- remedy: Drop the index with rollback/008_create_class_code_pattern_index.sql, then run migrate/008_create_class_code_pattern_index.sql again.

-- pg_indexes lists an invalid index like any other: ask pg_index.
SELECT
    'idx_classes_class_code_pattern' AS index_name,
    'valid, on class_code text_pattern_ops' AS expected,
    coalesce(pattern.faults, 'missing') AS found
FROM (SELECT to_regclass('classes') AS oid) AS t
LEFT JOIN LATERAL (
    SELECT concat_ws(
        ', ',
        CASE WHEN NOT i.indisvalid THEN 'invalid' END,
        CASE WHEN NOT i.indisready THEN 'not ready for writes' END,
        CASE WHEN i.indisunique THEN 'unique' END,
        CASE WHEN i.indpred IS NOT NULL THEN 'partial' END,
        CASE WHEN i.indnatts <> 1 OR a.attname IS DISTINCT FROM 'class_code' THEN 'not on class_code alone' END,
        CASE WHEN o.opcname <> 'text_pattern_ops' THEN 'sorted by ' || o.opcname END
    ) AS faults
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = t.oid AND c.relname = 'idx_classes_class_code_pattern'
) AS pattern ON true
WHERE pattern.faults IS DISTINCT FROM '';
