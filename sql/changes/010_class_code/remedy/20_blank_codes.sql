-- Set blank class codes to NULL
-- effect: Classes with an empty or white-space code have no code afterwards; what was stored stays in quarantine.

WITH batch AS (
    SELECT class_id, class_code
    FROM classes
    WHERE class_code !~ '\S'
    ORDER BY class_id
    LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000)
)
UPDATE classes AS c
SET class_code = NULL
FROM batch
WHERE c.class_id = batch.class_id
  AND c.class_code = batch.class_code
RETURNING
    jsonb_build_object('class_id', c.class_id) AS key,
    jsonb_build_object('class_code', batch.class_code) AS before,
    jsonb_build_object('class_code', c.class_code) AS after;
