-- Enumeration chat_role is there, with its values in order
-- effect: The table that uses it cannot be made, or takes values that the application does not know.
-- remedy: Run migrate/005_create_chat_role.sql again; a type of another change has to be renamed first.

SELECT
    'type chat_role' AS object,
    'user, assistant, system, tool' AS expected,
    coalesce(string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder), 'missing') AS found
FROM pg_enum AS e
WHERE e.enumtypid = to_regtype('chat_role')
HAVING string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) IS DISTINCT FROM 'user, assistant, system, tool';
