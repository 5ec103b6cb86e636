-- No counter is behind the codes of its prefix
-- effect: The generator would issue codes that are there already, and every class saved with one fails (23505).
-- remedy: Check that verify/004_add_class_code_guard_trigger.sql passes, then run migrate/005_fill_class_code_counters.sql again.

WITH codes AS (
    SELECT
        left(class_code, -length(split_part(class_code, '-', 4))) AS prefix,
        max(split_part(class_code, '-', 4)::bigint) AS highest
    FROM classes
    WHERE class_code ~ '^[^-]+-[^-]+-[^-]+-[0-9]{1,18}$'
    GROUP BY 1
)
SELECT
    codes.prefix AS prefix,
    codes.highest AS highest_number,
    counter.last_number AS last_number
FROM codes
LEFT JOIN class_code_counters AS counter ON counter.prefix = codes.prefix
WHERE counter.last_number >= codes.highest IS NOT TRUE
ORDER BY codes.prefix COLLATE "C";
