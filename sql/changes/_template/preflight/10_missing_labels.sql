-- Rows without a label
-- effect: Step 002 would find them and fail.
-- remedy: Let the remedy label them after their id, or label them by hand.

SELECT
    id AS id,
    created_at AS created_at
FROM example
WHERE label IS NULL
ORDER BY id;
