-- Create the enumeration audit_action
-- lock: none
-- estimate: 10 ms

CREATE TYPE audit_action AS ENUM ('insert', 'update', 'delete');

COMMENT ON TYPE audit_action IS 'What was done to a row.';
