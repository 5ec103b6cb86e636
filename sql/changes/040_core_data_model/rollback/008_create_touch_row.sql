-- Drop the function that keeps the times of a row
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS touch_row();
