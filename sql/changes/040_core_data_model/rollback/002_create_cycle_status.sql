-- Drop the enumeration cycle_status
-- lock: none
-- estimate: 10 ms

DROP TYPE IF EXISTS cycle_status;
