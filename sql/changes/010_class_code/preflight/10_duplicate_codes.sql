-- Class codes used more than once
-- effect: The unique index of step 002 cannot be built, and a failed build leaves an invalid index behind.
-- remedy: Decide which class keeps each code, or let the remedy keep the oldest and mark the others -DUP-<class_id>.

-- Blank codes are left to 20_blank_codes: the specification's WHERE class_code IS NOT NULL called them duplicates.
WITH numbered AS (
    SELECT
        class_code,
        class_id,
        row_number() OVER (PARTITION BY class_code ORDER BY class_id) AS use,
        count(*) OVER (PARTITION BY class_code) AS uses
    FROM classes
    WHERE class_code ~ '\S'
)
SELECT
    class_code AS class_code,
    uses AS uses,
    string_agg(class_id::text, ', ' ORDER BY class_id) FILTER (WHERE use <= 10)
        || CASE WHEN uses > 10 THEN ', ...' ELSE '' END AS class_ids
FROM numbered
WHERE uses > 1
GROUP BY class_code, uses
ORDER BY uses DESC, class_code COLLATE "C";
