-- Code numbers that would drag every later code along
-- effect: Step 001 moves the sequence past the highest of these for good, so each new code gets as many digits.
-- remedy: If the number is a mistake, a date for instance, correct that code before step 001; otherwise go on.
-- severity: warn

SELECT
    class_id AS class_id,
    class_code AS class_code,
    substring(class_code FROM 4)::bigint + 1 AS next_number
FROM classes
WHERE class_code ~ '^[A-Z]{3}[0-9]{8,15}$'
ORDER BY next_number DESC, class_id;
