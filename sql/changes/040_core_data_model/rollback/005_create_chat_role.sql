-- Drop the enumeration chat_role
-- lock: none
-- estimate: 10 ms

DROP TYPE IF EXISTS chat_role;
