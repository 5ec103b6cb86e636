-- The old index is not the one a rollback would build
-- effect: Rolling back step 004 builds a plain idx_classes_class_code, whatever was there before.
-- remedy: Note the definition shown here, and adapt rollback/004_drop_old_class_code_index.sql if it matters.
-- severity: warn

WITH old AS (
    SELECT
        pg_get_indexdef(c.oid) AS definition,
        concat_ws(
            ', ',
            CASE WHEN NOT i.indisvalid THEN 'invalid' END,
            CASE WHEN i.indisunique THEN 'unique' END,
            CASE WHEN i.indisreplident THEN 'the replica identity' END,
            CASE WHEN i.indpred IS NOT NULL THEN 'partial' END,
            CASE WHEN m.amname <> 'btree' THEN 'not a btree' END,
            CASE WHEN i.indnatts <> 1 OR a.attname IS DISTINCT FROM 'class_code' THEN 'not on class_code alone' END,
            CASE WHEN NOT o.opcdefault OR i.indoption[0] <> 0 OR i.indcollation[0] <> a.attcollation
                THEN 'sorted another way' END,
            CASE WHEN c.reloptions IS NOT NULL THEN 'with storage options' END,
            CASE WHEN c.reltablespace <> 0 THEN 'in another tablespace' END,
            CASE WHEN obj_description(c.oid, 'pg_class') IS NOT NULL THEN 'with a comment' END
        ) AS differences
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = c.relam
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass('classes') AND c.relname = 'idx_classes_class_code'
)
SELECT
    'idx_classes_class_code' AS index_name,
    coalesce(old.differences, 'missing') AS found,
    old.definition AS definition
FROM (VALUES (true)) AS always (present)
LEFT JOIN old ON true
WHERE old.differences IS DISTINCT FROM ''
  -- gone on purpose once the constraint is there
  AND NOT (
      old.definition IS NULL
      AND EXISTS (
          SELECT
          FROM pg_constraint AS c
          WHERE c.conrelid = to_regclass('classes') AND c.conname = 'class_code_unique'
      )
  );
