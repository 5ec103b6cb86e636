-- Classes without a code
-- effect: None for this change: NULL may repeat under a unique constraint.
-- remedy: Nothing to do now; give these classes a code when the business asks for one.
-- severity: warn

SELECT
    count(*) AS classes,
    min(class_id) AS first_class_id,
    max(class_id) AS last_class_id
FROM classes
WHERE class_code IS NULL
HAVING count(*) > 0;
