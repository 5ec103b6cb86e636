-- Drop the calendar
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS calculate_next_schedule(text, jsonb, timestamptz);
