-- Drop the guard
-- lock: AccessExclusive on messages
-- estimate: 10 ms

DROP TRIGGER IF EXISTS zz_number_message ON messages;

DROP FUNCTION IF EXISTS number_message();
