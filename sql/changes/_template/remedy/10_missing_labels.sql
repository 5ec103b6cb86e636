-- Label rows after their id
-- effect: Every row without a label gets unnamed-<id>; quarantine remembers that there was none.

WITH batch AS (
    SELECT id
    FROM example
    WHERE label IS NULL
    ORDER BY id
    LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000)
)
UPDATE example AS e
SET label = 'unnamed-' || e.id
FROM batch
WHERE e.id = batch.id
  AND e.label IS NULL
RETURNING
    jsonb_build_object('id', e.id) AS key,
    jsonb_build_object('label', NULL) AS before,
    jsonb_build_object('label', e.label) AS after;
