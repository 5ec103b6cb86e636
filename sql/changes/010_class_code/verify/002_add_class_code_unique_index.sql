-- A complete unique index on class_code is there
-- effect: Two classes could get the same code, and step 003 cannot run.
-- remedy: Drop the index with rollback/002_add_class_code_unique_index.sql, repair what stopped the build, run 002 again.

-- pg_indexes lists an invalid index like any other, and has no column indisvalid: ask pg_index.
-- Step 003 renames the index, so either name will do.
WITH candidate AS (
    SELECT
        c.relname,
        concat_ws(
            ', ',
            CASE WHEN NOT i.indisvalid THEN 'invalid' END,
            CASE WHEN NOT i.indisready THEN 'not ready for writes' END,
            CASE WHEN NOT i.indisunique THEN 'not unique' END,
            CASE WHEN NOT i.indimmediate THEN 'deferrable' END,
            CASE WHEN i.indnullsnotdistinct THEN 'allows one NULL only' END,
            CASE WHEN i.indpred IS NOT NULL THEN 'partial' END,
            CASE WHEN i.indexprs IS NOT NULL THEN 'on an expression' END,
            CASE WHEN m.amname <> 'btree' THEN 'not a btree' END,
            CASE WHEN i.indnatts <> 1 OR a.attname IS DISTINCT FROM 'class_code' THEN 'not on class_code alone' END
        ) AS faults
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = c.relam
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass('classes')
      AND c.relname IN ('idx_classes_class_code_unique', 'class_code_unique')
)
SELECT
    coalesce(candidate.relname, 'idx_classes_class_code_unique') AS index_name,
    'valid, unique, on class_code alone' AS expected,
    coalesce(candidate.faults, 'missing') AS found
FROM (VALUES (true)) AS always (present)
LEFT JOIN candidate ON true
WHERE NOT EXISTS (SELECT FROM candidate AS good WHERE good.faults = '')
ORDER BY candidate.relname;
