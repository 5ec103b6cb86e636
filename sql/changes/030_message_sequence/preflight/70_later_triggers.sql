-- Triggers that would have the last word after the guard
-- effect: Triggers fire in the order of their names; one after zz_number_message could change the number again.
-- remedy: Rename the trigger so that it comes before zz_number_message, or take the number out of it.

SELECT
    t.tgname AS trigger_name,
    t.tgfoid::regprocedure::text AS function_name,
    pg_get_triggerdef(t.oid) AS definition
FROM pg_trigger AS t
WHERE t.tgrelid = to_regclass('messages')
  AND NOT t.tgisinternal
  AND t.tgenabled <> 'D'
  AND t.tgtype & 7 = 7  -- before, each row, insert
  AND t.tgname COLLATE "C" > 'zz_number_message'
ORDER BY t.tgname;
