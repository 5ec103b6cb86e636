-- Class codes of several shapes
-- effect: The sequence continues the shape ABC1234 only; all other codes stay as they are, unique but not numbered by it.
-- remedy: Nothing to do if every shape is known; look at "other" for typing errors.
-- severity: warn

WITH shaped AS (
    SELECT
        CASE
            WHEN class_code ~ '^[A-Z]{3}[0-9]{4,15}$' THEN 'ABC1234'
            WHEN class_code ~ '^[0-9]+-[^-]+-[^-]+-[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{2}$'
                THEN 'client-type-subject-timestamp'
            WHEN class_code ~ '^[0-9]+-[^-]+-[^-]+-[0-9]+$' THEN 'client-type-subject-number'
            ELSE 'other'
        END AS shape,
        class_code
    FROM classes
    WHERE class_code ~ '\S'
), counted AS (
    SELECT
        shape,
        count(*) AS classes,
        min(class_code COLLATE "C") AS example
    FROM shaped
    GROUP BY shape
)
SELECT
    shape AS shape,
    classes AS classes,
    example AS example
FROM counted
WHERE EXISTS (SELECT FROM counted AS c WHERE c.shape <> 'ABC1234')
ORDER BY shape COLLATE "C";
