-- Blank class codes are refused
-- effect: An empty string could be stored again, and only once, because class codes are unique.
-- remedy: Run migrate/001a_forbid_blank_class_code.sql again.

SELECT
    'constraint class_code_not_blank' AS setting,
    'CHECK class_code <> ''''' AS expected,
    coalesce(rule.definition, 'missing') AS found
FROM (SELECT to_regclass('classes') AS oid) AS t
LEFT JOIN LATERAL (
    SELECT regexp_replace(pg_get_constraintdef(c.oid), '[()]|::text| NOT VALID$', '', 'g') AS definition
    FROM pg_constraint AS c
    WHERE c.conrelid = t.oid AND c.conname = 'class_code_not_blank'
) AS rule ON true
WHERE rule.definition IS DISTINCT FROM 'CHECK class_code <> ''''';
