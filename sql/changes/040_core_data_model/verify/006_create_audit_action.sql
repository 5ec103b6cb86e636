-- Enumeration audit_action is there, with its values in order
-- effect: The table that uses it cannot be made, or takes values that the application does not know.
-- remedy: Run migrate/006_create_audit_action.sql again; a type of another change has to be renamed first.

SELECT
    'type audit_action' AS object,
    'insert, update, delete' AS expected,
    coalesce(string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder), 'missing') AS found
FROM pg_enum AS e
WHERE e.enumtypid = to_regtype('audit_action')
HAVING string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) IS DISTINCT FROM 'insert, update, delete';
