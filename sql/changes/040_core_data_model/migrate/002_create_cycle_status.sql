-- Create the enumeration cycle_status
-- lock: none
-- estimate: 10 ms

CREATE TYPE cycle_status AS ENUM ('draft', 'active', 'completed', 'archived');

COMMENT ON TYPE cycle_status IS 'How far a cycle of twelve weeks is.';
