-- Another number_message is in the way
-- effect: Step 002 would replace a function, or a trigger of messages, that somebody else needs.
-- remedy: Find out who uses it, then rename or drop it; do not take it over blindly.

SELECT
    p.oid::regprocedure::text AS function_name,
    coalesce(t.tgname, 'none') AS trigger_name,
    'a function that counts in message_counters' AS expected,
    left(p.prosrc, 200) AS found
FROM pg_proc AS p
LEFT JOIN pg_trigger AS t ON t.tgfoid = p.oid
WHERE (
        (p.proname = 'number_message' AND p.pronargs = 0 AND p.pronamespace = to_regnamespace(quote_ident(current_schema())))
        OR (t.tgname = 'zz_number_message' AND t.tgrelid = to_regclass('messages'))
    )
  AND p.prosrc NOT LIKE '%INSERT INTO message_counters%'
ORDER BY function_name, trigger_name;
