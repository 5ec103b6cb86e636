-- The guard is there, enabled, and runs as its owner
-- effect: New messages would be neither counted nor numbered, and two senders could get the same number.
-- remedy: Run migrate/002_number_new_messages.sql again.

WITH guard AS (
    SELECT t.*, p.proname, p.prosrc, p.prosecdef, p.proconfig::text AS settings, pg_get_triggerdef(t.oid) AS definition
    FROM (SELECT to_regclass('messages') AS oid) AS m
    LEFT JOIN pg_trigger AS t ON t.tgrelid = m.oid AND t.tgname = 'zz_number_message'
    LEFT JOIN pg_proc AS p ON p.oid = t.tgfoid
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM guard
CROSS JOIN LATERAL (
    VALUES
        (1, 'trigger zz_number_message', 'present', CASE WHEN guard.tgname IS NULL THEN 'missing' ELSE 'present' END),
        (2, 'enabled', 'O', guard.tgenabled::text),
        (
            3,
            'fires',
            'BEFORE INSERT OR UPDATE OF channel_id, conversation_id, for each row',
            substring(guard.definition FROM 'zz_number_message (.*) ON ')
                || CASE WHEN guard.tgtype & 1 = 1 THEN ', for each row' ELSE ', for each statement' END
        ),
        (4, 'calls', 'number_message', guard.proname::text),
        (5, 'runs as', 'its owner', CASE WHEN guard.prosecdef THEN 'its owner' ELSE 'the sender' END),
        (
            6,
            'looks for tables in',
            'a fixed search_path that ends with pg_temp',
            CASE
                WHEN guard.settings LIKE '{"search_path=%, pg_temp"}' THEN 'a fixed search_path that ends with pg_temp'
                ELSE coalesce(guard.settings, 'the search_path of the sender')
            END
        ),
        (7, 'fires when', 'always', CASE WHEN guard.tgqual IS NULL THEN 'always' ELSE 'sometimes' END),
        (
            8,
            'counts in',
            'message_counters',
            CASE WHEN guard.prosrc LIKE '%INSERT INTO message_counters%' THEN 'message_counters' ELSE 'nothing' END
        )
) AS fact (position, setting, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
  AND (fact.position = 1 OR guard.tgname IS NOT NULL)
ORDER BY fact.position;
