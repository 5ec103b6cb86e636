-- Enumeration plan_item_status is there, with its values in order
-- effect: The table that uses it cannot be made, or takes values that the application does not know.
-- remedy: Run migrate/004_create_plan_item_status.sql again; a type of another change has to be renamed first.

SELECT
    'type plan_item_status' AS object,
    'planned, in_progress, completed, skipped' AS expected,
    coalesce(string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder), 'missing') AS found
FROM pg_enum AS e
WHERE e.enumtypid = to_regtype('plan_item_status')
HAVING string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) IS DISTINCT FROM 'planned, in_progress, completed, skipped';
