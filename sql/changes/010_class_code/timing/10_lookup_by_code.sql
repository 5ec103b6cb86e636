-- Look up one class by its code
-- expect: index class_code_unique; median < 1 ms; rows 1

-- The planner does not see the value, as in a generic plan: the specification's partial index could not serve it.
SELECT
    class_id AS class_id,
    class_code AS class_code,
    class_type AS class_type
FROM classes
WHERE class_code = (SELECT min(class_code) FROM classes);
