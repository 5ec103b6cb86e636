-- Rows without a label are refused
-- effect: New rows could still come without a label.
-- remedy: Run migrate/001_forbid_missing_label.sql again.

SELECT
    'constraint example_label_present' AS setting,
    'present' AS expected,
    'missing' AS found
WHERE NOT EXISTS (
    SELECT
    FROM pg_constraint AS c
    WHERE c.conrelid = to_regclass('example') AND c.conname = 'example_label_present'
);
