-- Blank class codes
-- effect: Step 001b cannot prove the rule against blanks, and only one blank could stay under the unique index.
-- remedy: Let the remedy set them to NULL, and have every writer store NULL for "no code".

-- NULL is no problem and is counted by 25_null_codes.
WITH blank AS (
    SELECT
        CASE WHEN class_code = '' THEN 'empty' ELSE 'white space only' END AS kind,
        class_id,
        row_number() OVER (PARTITION BY class_code = '' ORDER BY class_id) AS position
    FROM classes
    WHERE class_code !~ '\S'
)
SELECT
    kind AS kind,
    count(*) AS classes,
    string_agg(class_id::text, ', ' ORDER BY class_id) FILTER (WHERE position <= 10)
        || CASE WHEN count(*) > 10 THEN ', ...' ELSE '' END AS class_ids
FROM blank
GROUP BY kind
ORDER BY kind COLLATE "C";
