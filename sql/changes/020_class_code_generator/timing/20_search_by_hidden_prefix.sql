-- List the first classes of a prefix that the planner does not see
-- expect: index idx_classes_class_code_pattern; median < 5 ms

-- As in a generic plan. LIKE with a parameter cannot use an index there, whatever the specification said; these
-- operators can, in every collation, and _ and % are plain characters for them. "." comes after "-".
SELECT
    class_id AS class_id,
    class_code AS class_code
FROM classes
WHERE class_code ~>=~ (SELECT min(prefix) COLLATE "default" FROM class_code_counters)
  AND class_code ~<~ (SELECT left(min(prefix), -1) || '.' COLLATE "default" FROM class_code_counters)
ORDER BY class_code USING ~<~
LIMIT 20;
