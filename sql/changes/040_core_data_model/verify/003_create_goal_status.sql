-- Enumeration goal_status is there, with its values in order
-- effect: The table that uses it cannot be made, or takes values that the application does not know.
-- remedy: Run migrate/003_create_goal_status.sql again; a type of another change has to be renamed first.

SELECT
    'type goal_status' AS object,
    'active, achieved, missed, dropped' AS expected,
    coalesce(string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder), 'missing') AS found
FROM pg_enum AS e
WHERE e.enumtypid = to_regtype('goal_status')
HAVING string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) IS DISTINCT FROM 'active, achieved, missed, dropped';
