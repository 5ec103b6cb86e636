-- Create the enumeration chat_role
-- lock: none
-- estimate: 10 ms

CREATE TYPE chat_role AS ENUM ('user', 'assistant', 'system', 'tool');

COMMENT ON TYPE chat_role IS 'Who says a message of a chat session.';
