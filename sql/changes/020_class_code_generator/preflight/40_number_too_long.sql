-- Code numbers too long to be counted
-- effect: Step 005 and the guard pass numbers of more than 18 digits over; the code itself stays unique.
-- remedy: Nothing to do: no counter comes there. Correct the code if it is a mistake.
-- severity: warn

SELECT
    class_id AS class_id,
    class_code AS class_code,
    length(substring(class_code FROM '[0-9]+$')) AS digits
FROM classes
WHERE class_code ~ '^[^-]+-[^-]+-[^-]+-[0-9]{19,}$'
ORDER BY class_id;
