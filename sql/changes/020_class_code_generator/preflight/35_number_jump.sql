-- Code numbers that would drag every later code of their prefix along
-- effect: Step 005 starts the counter at the highest of these, so each new code gets as many digits.
-- remedy: If the number is a mistake, a date for instance, correct that code before step 004; afterwards it stays.
-- severity: warn

SELECT
    class_id AS class_id,
    class_code AS class_code,
    split_part(class_code, '-', 4)::bigint + 1 AS next_number
FROM classes
WHERE class_code ~ '^[^-]+-[^-]+-[^-]+-0*[1-9][0-9]{7,17}$'
  AND length(split_part(class_code, '-', 4)) <= 18
ORDER BY next_number DESC, class_id;
