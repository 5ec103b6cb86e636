-- On top of go.sql: a date and a timestamp pasted into the number

UPDATE classes SET class_code = 'ABC20250625' WHERE class_id = 1;
UPDATE classes SET class_code = 'ABC202506250214' WHERE class_id = 2;
