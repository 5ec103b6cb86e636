-- Triggers that fire when a message or a cursor is renumbered
-- effect: The remedies update rows: what these triggers write (a time, a history, a notification) is not undone.
-- remedy: Read them; if they must not see the repair, disable them while it runs, or repair by hand.
-- severity: warn

SELECT
    t.tgrelid::regclass::text AS table_name,
    t.tgname AS trigger_name,
    pg_get_triggerdef(t.oid) AS definition
FROM pg_trigger AS t
WHERE t.tgrelid IN (to_regclass('messages'), to_regclass('read_cursors'))
  AND NOT t.tgisinternal
  AND t.tgenabled <> 'D'
  AND t.tgtype & 16 = 16  -- update
  AND t.tgname <> 'zz_number_message'
ORDER BY table_name, trigger_name;
