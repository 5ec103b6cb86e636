-- Look up one row by its label
-- expect: index idx_example_label; median < 1 ms; rows 1

SELECT
    id AS id,
    label AS label
FROM example
WHERE label = (SELECT e.label FROM example AS e ORDER BY e.id LIMIT 1);
