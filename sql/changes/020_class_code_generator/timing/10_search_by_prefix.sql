-- List the classes of one prefix
-- expect: median < 10 ms

-- A literal pattern: in a database whose collation is not C it needs idx_classes_class_code_pattern; where it is C,
-- the index of class_code_unique serves it as well, and the planner takes either.
SELECT
    class_id AS class_id,
    class_code AS class_code
FROM classes
WHERE class_code LIKE '18-SKILLS-BA2-%';
