-- No blank class code is left
-- effect: Blank codes from before the rule may still be in the table.
-- remedy: Repair the rows that preflight/20_blank_codes.sql shows, then run migrate/001b_validate_class_code_not_blank.sql.

SELECT
    'constraint class_code_not_blank' AS setting,
    'validated' AS expected,
    CASE WHEN c.oid IS NULL THEN 'missing' ELSE 'not validated' END AS found
FROM (SELECT to_regclass('classes') AS oid) AS t
LEFT JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.conname = 'class_code_not_blank'
WHERE c.convalidated IS NOT TRUE;
