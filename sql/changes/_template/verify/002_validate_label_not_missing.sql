-- Every row has a label
-- effect: Rows from before the rule may still be without a label.
-- remedy: Repair the rows that preflight/10_missing_labels.sql shows, then run migrate/002_validate_label_not_missing.sql.

SELECT
    'constraint example_label_present' AS setting,
    'validated' AS expected,
    CASE WHEN c.oid IS NULL THEN 'missing' ELSE 'not validated' END AS found
FROM (SELECT to_regclass('example') AS oid) AS t
LEFT JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.conname = 'example_label_present'
WHERE c.convalidated IS NOT TRUE;
